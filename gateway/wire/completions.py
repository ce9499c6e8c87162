"""`POST /v1/completions`, the legacy endpoint: its request, its answer and its stream."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from gateway.errors import BadRequest
from gateway.values import EndpointName, Question, Request, Usage
from gateway.wire import completions_stream
from gateway.wire.body import TOO_MANY, optional_bool, optional_int, optional_object, required_text
from gateway.wire.choices import all_finished, announces, choices_of, cut_choices, first_finish_reason, is_usage_chunk
from gateway.wire.endpoint import Endpoint, Json, missing_cap, wish_for_usage
from gateway.wire.prompts import check_prompt, how_many, last_text
from gateway.wire.usage import chat_usage

_MAX_CHOICES = 128
"""`n` in OpenAI's API reference; `best_of` is at most 20 there, other servers allow more."""


class Completions(Endpoint):
    name: ClassVar[EndpointName] = "completions"
    path: ClassVar[str] = "/completions"
    completion_fields: ClassVar[tuple[str, ...]] = ("max_tokens",)
    read_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "prompt",
        "suffix",
        "store",
        "stream",
        "stream_options",
        "n",
        "best_of",
        *completion_fields,
    )

    plain: ClassVar[re.Pattern[bytes]] = re.compile(rb'"text":\s*"((?:[^"\\]|\\.)*)"')

    def parse_unrepeated(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        model = required_text(fields, "model")
        prompt = fields.get("prompt")
        if prompt is not None:  # without one the model starts a new document
            check_prompt("prompt", prompt)
        cap = optional_int(fields, "max_tokens", least=0)  # 0 with `echo`: only log probabilities are wanted
        is_stream = optional_bool(fields, "stream")
        options = optional_object(fields, "stream_options")
        return Request(
            endpoint=self.name,
            body=body,
            fields=fields,
            model=model,
            is_stream=is_stream,
            wants_usage=is_stream and optional_bool(options, "include_usage"),
            choices=_choices(fields) * (1 if prompt is None else how_many(prompt)),
            completion_caps={} if cap is None else {"max_tokens": cap},
            completion_cap=cap,
        )

    def question(self, request: Request) -> Question:
        prompt = request.fields.get("prompt")
        return Question("" if prompt is None else last_text(prompt))

    def outgoing_edits(self, request: Request, *, completion_field: str, stream_usage: bool) -> dict[str, Any]:
        return {**missing_cap(request, "max_tokens"), **wish_for_usage(request, stream_usage=stream_usage)}

    def usage(self, answer: Json) -> Usage | None:
        return chat_usage(answer)

    def is_finished(self, answer: Json) -> bool:
        return all_finished(answer)

    def generated_text(self, answers: Iterable[Json]) -> str:
        texts = (choice.get("text") for answer in answers for choice in choices_of(answer))
        return "".join(text for text in texts if isinstance(text, str))

    def finish_reason(self, answer: Json) -> str | None:
        return first_finish_reason(answer)

    def is_preamble(self, event: Json) -> bool:
        return announces(event)

    def is_usage_only(self, event: Json) -> bool:
        return is_usage_chunk(event)

    def assemble(self, events: Sequence[Json]) -> dict[str, Any] | None:
        return completions_stream.assemble(events)

    def to_stream(self, answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
        return completions_stream.encode_stream(answer, include_usage=include_usage)

    def cut_short(self, events: Sequence[Json], *, choices: int, usage: Usage, tells_usage: bool) -> bytes:
        return cut_choices(
            events, {"text": "", "logprobs": None}, choices=choices, usage=usage if tells_usage else None
        )


def _choices(fields: Mapping[str, Any]) -> int:
    """Completions generated, and billed, for each prompt: `best_of` of which the best `n` are returned."""
    count = 1
    for name in ("n", "best_of"):
        wanted = optional_int(fields, name, least=1) or 1
        if wanted > _MAX_CHOICES:
            raise BadRequest(f"'{name}' must be at most {_MAX_CHOICES}, not {wanted}.", param=name, code=TOO_MANY)
        count = max(count, wanted)
    return count
