"""`POST /v1/chat/completions`: its request, its answer and its stream."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from gateway.errors import BadRequest
from gateway.values import Request, Usage
from gateway.wire import chat_stream
from gateway.wire.body import (
    optional_bool,
    optional_int,
    optional_object,
    required_list,
    required_text,
    wrong_type,
)
from gateway.wire.endpoint import Endpoint, Json, Name
from gateway.wire.usage import chat_usage

_MAX_CHOICES = 128
"""`n` in OpenAI's API reference."""


class Chat(Endpoint):
    name: ClassVar[Name] = "chat"
    path: ClassVar[str] = "/chat/completions"
    completion_fields: ClassVar[tuple[str, ...]] = ("max_completion_tokens", "max_tokens")
    read_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "messages",
        "tools",
        "functions",
        "response_format",
        "stream",
        "stream_options",
        "n",
        *completion_fields,
    )

    def _parse(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        model = required_text(fields, "model")
        for index, message in enumerate(required_list(fields, "messages")):
            _check_message(index, message)
        choices = optional_int(fields, "n", least=1) or 1
        if choices > _MAX_CHOICES:
            raise BadRequest(f"'n' must be at most {_MAX_CHOICES}, not {choices}.", param="n")
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

    def query(self, request: Request) -> str:
        for message in reversed(request.fields["messages"]):
            if message["role"] == "user":
                return _text(message.get("content"))
        return ""

    def outgoing_edits(self, request: Request, *, completion_field: str, stream_usage: bool) -> dict[str, Any]:
        edits: dict[str, Any] = {}
        if not request.completion_caps and request.completion_cap is not None:
            edits[completion_field] = request.completion_cap
        if request.is_stream and stream_usage and not request.wants_usage:
            edits["stream_options"] = {**optional_object(request.fields, "stream_options"), "include_usage": True}
        return edits

    def usage(self, answer: Json) -> Usage | None:
        return chat_usage(answer.get("usage"))

    def is_finished(self, answer: Json) -> bool:
        choices = answer.get("choices")
        return isinstance(choices, list) and bool(choices) and all(_finish_reason(choice) for choice in choices)

    def is_usage_only(self, event: Json) -> bool:
        return event.get("choices") == [] and event.get("usage") is not None

    def assemble(self, events: Sequence[Json]) -> dict[str, Any] | None:
        return chat_stream.assemble(events)

    def generated_text(self, answers: Iterable[Json]) -> str:
        return "".join(text for answer in answers for text in _strings(_messages(answer)))

    def to_stream(self, answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
        return chat_stream.encode_stream(answer, include_usage=include_usage)


def _check_message(index: int, message: object) -> None:
    name = f"messages[{index}]"
    if not isinstance(message, dict):
        raise wrong_type(name, "an object", message)
    if not isinstance(message.get("role"), str):
        raise wrong_type(f"{name}.role", "a string", message.get("role"))
    content = message.get("content")
    if isinstance(content, list):
        for part, value in enumerate(content):
            if not isinstance(value, dict):
                raise wrong_type(f"{name}.content[{part}]", "an object", value)
    elif content is not None and not isinstance(content, str):
        raise wrong_type(f"{name}.content", "a string or an array", content)


def _text(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a message's content, its parts joined by line ends."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(text for part in content if isinstance(text := part.get("text"), str))


def _finish_reason(choice: object) -> Any:
    return choice.get("finish_reason") if isinstance(choice, dict) else None


def _messages(answer: Json) -> Iterator[object]:
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield choice.get("delta") or choice.get("message")


_NOT_GENERATED = frozenset({"role", "id", "type", "index"})


def _strings(values: Iterable[object]) -> Iterator[str]:
    """Every generated string in messages or deltas, at any depth: text, refusals, reasoning, tool calls."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _strings(item for key, item in value.items() if key not in _NOT_GENERATED)
        elif isinstance(value, list):
            yield from _strings(value)
