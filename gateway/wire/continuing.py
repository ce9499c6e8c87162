"""A chat stream that was cut, and its continuation by another call: what is asked for, and how the two become one.

What the client has so far goes along as the assistant's last message; most models go on where it ends, some
repeat a few words or begin anew. So only what is plain text is continued: one choice, no tools, no JSON to be
kept in form, nothing of a reasoning that cannot be handed in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.value import value
from gateway.values import Request, Usage
from gateway.wire import json_bytes, sse
from gateway.wire.choices import announces, choices_of, index_of
from gateway.wire.endpoint import Json
from gateway.wire.splice import members
from gateway.wire.usage import chat_usage

_MOST_BYTES = 1 << 20
"""Of a request that is continued: it is looked through once more, on the event loop."""
_NOT_TEXT = (
    "tools",
    "functions",
    "logprobs",
    "top_logprobs",
    "modalities",
    "audio",
    "prediction",
    "web_search_options",
    "store",
)
_SAME_IN_EVERY_CHUNK = ("id", "created", "model", "system_fingerprint")


@value
class Remainder:
    """What is to be asked for after a cut."""

    request: Request
    said: str
    """What the client has of the answer; empty where only announcements have left, and all is asked for again."""
    frame: Mapping[str, Any]
    """Fields that all chunks of the answer have in common."""
    roles: frozenset[int]
    """Choices whose role has been told."""


def remainder(request: Request, events: Sequence[Json], *, may_continue: bool) -> Remainder | None:
    """What to ask for after `events` of a chat stream; None where the answer cannot be taken up again.

    Unless it `may_continue`, that is so from the first word on.
    """
    if len(request.body) > _MOST_BYTES:
        return None
    said = ""
    if not all(map(announces, events)):
        text = _text_of(events) if may_continue and _is_plain(request) else None
        if not text:
            return None
        said, request = text, _continued(request, text)
    frame: dict[str, Any] = {}
    for event in events[:1]:
        frame = {key: event[key] for key in _SAME_IN_EVERY_CHUNK if event.get(key)}
    roles = {index_of(choice) for event in events for choice in choices_of(event) if _delta(choice).get("role")}
    return Remainder(request, said, frame, frozenset(roles))


def shortened(request: Request, tokens: int) -> Request | None:
    """`request` with its completion limits less the `tokens` that were generated; None where none is left."""
    if request.completion_cap is None:
        return request
    left = request.completion_cap - tokens
    if left < 1:
        return None
    spelled = {name: cap - tokens for name, cap in request.completion_caps.items()}
    return request.capped(left, {**request.edits, **{name: max(1, cap) for name, cap in spelled.items()}})


def _is_plain(request: Request) -> bool:
    fields = request.fields
    form = fields.get("response_format")
    is_text = form is None or (isinstance(form, dict) and form.get("type") == "text")
    return is_text and request.choices == 1 and not any(fields.get(name) for name in _NOT_TEXT)


def _text_of(events: Iterable[Json]) -> str | None:
    """The text of an answer that is nothing else and has not come to its end."""
    texts: list[str] = []
    for choice in (choice for event in events for choice in choices_of(event)):
        delta = dict(_delta(choice))
        content = delta.pop("content", None)
        delta.pop("role", None)
        if index_of(choice) or choice.get("finish_reason") or any(delta.values()):
            return None
        if isinstance(content, str):
            texts.append(content)
    return "".join(texts)


def _continued(request: Request, said: str) -> Request:
    """`request` with what was `said` as the assistant's last message; its bytes are otherwise as they were."""
    message = {"role": "assistant", "content": said}
    place = next(member for member in members(request.body) if member.key == "messages")
    at = place.end - 1  # before the bracket that closes the list, which is not empty
    body = b"%b,%b%b" % (request.body[:at], json_bytes.dumps(message), request.body[at:])
    fields = {**request.fields, "messages": [*request.fields["messages"], message]}
    return replace(request, body=body, fields=fields, derived={})


def _delta(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = choice.get("delta")
    return delta if isinstance(delta, dict) else {}


class Seam:
    """Makes the events of a continuation those of the stream that was cut."""

    def __init__(self, remainder: Remainder, by: str, used: Usage) -> None:
        """`by` is who continues, as clients may know it; `used` is what was used up to the cut."""
        self.usage: Usage | None = None
        """As the continuation reported its own."""
        self._frame = remainder.frame
        self._roles = remainder.roles
        self._used = used
        how = "continued" if remainder.said else "restarted"
        self._mark: dict[str, Any] = {"x_gateway": {how: by}}
        self._opening = b": gateway: the stream was cut here and %b by %b\n\n" % (how.encode(), by.encode())

    def feed(self, block: bytes) -> bytes:
        """What of `block`, whole events, goes on to the client."""
        visible = [self._opening] if self._opening else []
        self._opening = b""
        for event in sse.events(block):
            chunk = json_bytes.object_in(event.data) if event.data else None
            if chunk is None or "choices" not in chunk:
                visible.append(event.raw)
            elif (joined := self._joined(chunk)) is not None:
                visible.append(sse.encode(json_bytes.dumps(joined)))
        return b"".join(visible)

    def _joined(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        usage = chat_usage(chunk)
        if usage is not None:
            self.usage = usage
            chunk = {**chunk, "usage": _sum(chunk["usage"], self._used)}
        elif announces(chunk) and self._roles.issuperset(map(index_of, choices_of(chunk))):
            return None
        choices = [self._without_role(choice) for choice in choices_of(chunk)]
        mark, self._mark = self._mark, {}
        return {**chunk, **self._frame, "choices": choices, **mark}

    def _without_role(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Clients add up the strings of deltas: a second role would make it `assistantassistant`."""
        delta = _delta(choice)
        if "role" not in delta or index_of(choice) not in self._roles:
            return choice
        return {**choice, "delta": {key: value for key, value in delta.items() if key != "role"}}


def _sum(reported: Mapping[str, Any], used: Usage) -> dict[str, Any]:
    """The usage of both calls, in the form of what the second `reported`."""
    more = {"prompt_tokens": used.input, "completion_tokens": used.output, "total_tokens": used.input + used.output}
    return {key: value + more.get(key, 0) if isinstance(value, int) else value for key, value in reported.items()}
