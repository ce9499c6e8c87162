"""`POST /v1/chat/completions`: its request, its answer and its stream."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from gateway.errors import BadRequest
from gateway.values import EndpointName, Question, Request, Usage
from gateway.wire import chat_stream
from gateway.wire.body import (
    TOO_MANY,
    optional_bool,
    optional_int,
    optional_object,
    required_list,
    required_text,
    wrong_type,
)
from gateway.wire.choices import all_finished, announces, choices_of, cut_choices, first_finish_reason, is_usage_chunk
from gateway.wire.content import check_content, strings
from gateway.wire.endpoint import Endpoint, Json, missing_cap, wish_for_usage
from gateway.wire.question import question_in
from gateway.wire.usage import chat_usage

_MAX_CHOICES = 128
"""`n` in OpenAI's API reference."""

_NOT_GENERATED = frozenset({"role", "id", "type", "index"})
"""Keys of a message or delta that hold no text of the model's."""


class Chat(Endpoint):
    name: ClassVar[EndpointName] = "chat"
    path: ClassVar[str] = "/chat/completions"
    completion_fields: ClassVar[tuple[str, ...]] = ("max_completion_tokens", "max_tokens")
    read_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "messages",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "modalities",
        "web_search_options",
        "store",
        "stream",
        "stream_options",
        "n",
        *completion_fields,
    )

    plain: ClassVar[re.Pattern[bytes]] = re.compile(rb'"delta":\s*\{\s*(?:"content":\s*"((?:[^"\\]|\\.)*)"\s*)?\}')

    def parse_unrepeated(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        model = required_text(fields, "model")
        for index, message in enumerate(required_list(fields, "messages")):
            _check_message(index, message)
        choices = optional_int(fields, "n", least=1) or 1
        if choices > _MAX_CHOICES:
            raise BadRequest(f"'n' must be at most {_MAX_CHOICES}, not {choices}.", param="n", code=TOO_MANY)
        caps = {name: cap for name in self.completion_fields if (cap := optional_int(fields, name, least=1))}
        is_stream = optional_bool(fields, "stream")
        options = optional_object(fields, "stream_options")
        return Request(
            endpoint=self.name,
            body=body,
            fields=fields,
            model=model,
            is_stream=is_stream,
            wants_usage=is_stream and optional_bool(options, "include_usage"),
            choices=choices,
            completion_caps=caps,
            completion_cap=max(caps.values(), default=None),
        )

    def question(self, request: Request) -> Question:
        return question_in(request.fields["messages"], request.fields, request.body)

    def outgoing_edits(self, request: Request, *, completion_field: str, stream_usage: bool) -> dict[str, Any]:
        return {**missing_cap(request, completion_field), **wish_for_usage(request, stream_usage=stream_usage)}

    def usage(self, answer: Json) -> Usage | None:
        return chat_usage(answer)

    def is_finished(self, answer: Json) -> bool:
        return all_finished(answer)

    def finish_reason(self, answer: Json) -> str | None:
        return first_finish_reason(answer)

    def is_preamble(self, event: Json) -> bool:
        return announces(event)

    def is_usage_only(self, event: Json) -> bool:
        return is_usage_chunk(event)

    def assemble(self, events: Sequence[Json]) -> dict[str, Any] | None:
        return chat_stream.assemble(events)

    def generated_text(self, answers: Iterable[Json]) -> str:
        return "".join(text for answer in answers for text in strings(_messages(answer), without=_NOT_GENERATED))

    def to_stream(self, answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
        return chat_stream.encode_stream(answer, include_usage=include_usage)

    def cut_short(self, events: Sequence[Json], *, choices: int, usage: Usage, tells_usage: bool) -> bytes:
        return cut_choices(
            events, {"delta": {}, "logprobs": None}, choices=choices, usage=usage if tells_usage else None
        )


def _check_message(index: int, message: object) -> None:
    if not isinstance(message, dict):
        raise wrong_type(f"messages[{index}]", "an object", message)
    if not isinstance(message.get("role"), str):
        raise wrong_type(f"messages[{index}].role", "a string", message.get("role"))
    content = message.get("content")
    if not isinstance(content, str):  # there may be 100,000 messages
        check_content(f"messages[{index}].content", content)


def _messages(answer: Json) -> Iterator[object]:
    for choice in choices_of(answer):
        yield choice.get("delta") or choice.get("message")
