"""`POST /v1/responses`: its request and its answer; the stream is `responses_stream.py`.

Most of a request is optional: the input may be a string, items, or what a stored prompt or an earlier
response holds. What only refers to state at the provider passes untouched, and the cache keeps out of it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from gateway.errors import BadRequest, GatewayError
from gateway.values import EndpointName, Question, Request, Usage
from gateway.wire import responses_cut, responses_stream
from gateway.wire.body import optional_bool, optional_int, required_text, wrong_type
from gateway.wire.content import check_content, strings
from gateway.wire.endpoint import Endpoint, Json, missing_cap
from gateway.wire.question import question_in
from gateway.wire.usage import responses_usage, word

_FINISHED = ("completed", "incomplete")
"""`incomplete` is for this API what `length` and `content_filter` are among chat's finish reasons."""

_NOT_GENERATED = frozenset(
    {"id", "type", "role", "status", "phase", "call_id", "encrypted_content", "annotations", "logprobs"}
)
"""Keys of an output item that hold no text of the model's."""


class Responses(Endpoint):
    name: ClassVar[EndpointName] = "responses"
    path: ClassVar[str] = "/responses"
    completion_fields: ClassVar[tuple[str, ...]] = ("max_output_tokens",)
    read_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "text",
        "context_management",
        "prompt",
        "previous_response_id",
        "conversation",
        "background",
        "store",
        "stream",
        *completion_fields,
    )
    telling: ClassVar[re.Pattern[bytes]] = re.compile(
        rb'"(?:type"\s*:\s*"(?:error|response\.(?:completed|incomplete|failed))"|error"\s*:\s*[{"])'
    )
    plain: ClassVar[re.Pattern[bytes]] = re.compile(
        rb'"response\.(?:output_text|function_call_arguments|reasoning_summary_text)\.delta"[^\n]*?'
        rb'"delta":\s*"((?:[^"\\]|\\.)*)"'
    )
    ending: ClassVar[re.Pattern[bytes]] = re.compile(rb'"type"\s*:\s*"response\.(completed|incomplete|failed)"')
    ends_with_done: ClassVar[bool] = False

    def parse_unrepeated(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        if fields.get("model") is None and isinstance(fields.get("prompt"), dict):
            raise BadRequest(
                "'model' is needed with a stored prompt too: this gateway routes, counts and prices by it, and what a "
                "stored prompt names cannot be seen from here.",
                param="model",
            )
        model = required_text(fields, "model")
        _check_input(fields.get("input"))
        for name in ("instructions", "previous_response_id"):
            if not isinstance(fields.get(name), str | None):
                raise wrong_type(name, "a string", fields[name])
        for name in ("store", "background"):
            optional_bool(fields, name)
        cap = optional_int(fields, "max_output_tokens", least=1)
        return Request(
            endpoint=self.name,
            body=body,
            fields=fields,
            model=model,
            is_stream=optional_bool(fields, "stream"),
            completion_caps={} if cap is None else {"max_output_tokens": cap},
            completion_cap=cap,
        )

    def question(self, request: Request) -> Question:
        fields, given = request.fields, request.fields.get("input")
        instructions = fields.get("instructions")
        told = instructions if isinstance(instructions, str) else ""
        if given is None or isinstance(given, str):
            return Question(given or "", system=told, has_tools=bool(fields.get("tools")))
        return question_in(given, fields, request.body, instructions=told)

    def is_background(self, request: Request) -> bool:
        return request.fields.get("background") is True

    def outgoing_edits(self, request: Request, *, completion_field: str, stream_usage: bool) -> dict[str, Any]:
        return missing_cap(request, "max_output_tokens")

    def usage(self, answer: Json) -> Usage | None:
        return responses_usage(_response(answer))

    def is_finished(self, answer: Json) -> bool:
        return answer.get("status") in _FINISHED

    def finish_reason(self, answer: Json) -> str | None:
        details = answer.get("incomplete_details")
        reason = word(details.get("reason")) if isinstance(details, dict) else None
        return reason or word(answer.get("status"))

    def generated_text(self, answers: Iterable[Json]) -> str:
        return "".join(text for answer in answers for text in _generated(answer))

    def is_preamble(self, event: Json) -> bool:
        return responses_stream.announces(event)

    def is_last(self, event: Json) -> bool:
        return event.get("type") in responses_stream.LAST

    def assemble(self, events: Sequence[Json]) -> dict[str, Any] | None:
        return responses_stream.assemble(events)

    def to_stream(self, answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
        return responses_stream.encode_stream(answer)

    def cut_short(self, events: Sequence[Json], *, choices: int, usage: Usage, tells_usage: bool) -> bytes:
        return responses_cut.cut_short(events, usage)

    def error_event(self, error: GatewayError, *, after: bytes) -> bytes:
        return responses_stream.error_event(error, after)


def _check_input(given: object) -> None:
    if given is None or isinstance(given, str):
        return
    if not isinstance(given, list):
        raise wrong_type("input", "a string or an array", given)
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            raise wrong_type(f"input[{index}]", "an object", item)
        for key in ("type", "role"):
            if (value := item.get(key)) is not None and not isinstance(value, str):
                raise wrong_type(f"input[{index}].{key}", "a string", value)
        content = item.get("content")
        if not isinstance(content, str):  # there may be 100,000 items
            check_content(f"input[{index}].content", content)


def _response(answer: Json) -> Json:
    """The response object: the answer itself, or what an event carries."""
    response = answer.get("response", answer)
    return response if isinstance(response, dict) else {}


def _generated(answer: Json) -> Iterator[str]:
    """Texts and calls, of whole answers or in the deltas of a stream; sound comes in none of them."""
    kind, delta = answer.get("type"), answer.get("delta")
    if isinstance(kind, str) and isinstance(delta, str) and not kind.startswith("response.audio."):
        yield delta
    yield from strings([answer.get("output")], without=_NOT_GENERATED)
