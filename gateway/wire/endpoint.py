"""What the pipeline needs to know of an inference endpoint, whichever it is.

One subclass a URL (`chat.py`, …); the table of them all is `endpoints.py`. Methods are pure:
bytes and parsed JSON in, values out.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from gateway.errors import GatewayError
from gateway.values import EndpointName, Question, Request, Usage
from gateway.wire import json_bytes
from gateway.wire.body import optional_object
from gateway.wire.errors import to_event
from gateway.wire.repeats import refuse_repeats

Json = Mapping[str, Any]


class Endpoint(ABC):
    """How to read requests and answers of one URL."""

    name: ClassVar[EndpointName]
    path: ClassVar[str]
    """Below `/v1`."""
    completion_fields: ClassVar[tuple[str, ...]]
    """Every spelling of the completion limit that clients use here."""
    read_fields: ClassVar[tuple[str, ...]]
    """Top-level fields we act upon; a key that stands twice there would mean different things to us and upstream."""

    def parse(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        """`body`, already parsed into `fields`, as a `Request`; BadRequest names the field that is wrong."""
        self.refuse_repeats(body, fields)
        return self.parse_unrepeated(body, fields)

    def refuse_repeats(self, body: bytes, fields: Mapping[str, Any], *, written: bytes | None = None) -> None:
        """BadRequest where a key that we read stands twice; `written` is `fields` written again, if that is done."""
        refuse_repeats(body, fields, self.read_fields, written=written)

    @abstractmethod
    def parse_unrepeated(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        """As `parse`, where that is known already."""

    @abstractmethod
    def question(self, request: Request) -> Question:
        """What says how hard the request is: what the user asked last, and what stands around it."""

    def is_background(self, request: Request) -> bool:
        """Whether it is answered before its answer is made, with its usage told to whoever fetches it later."""
        return False

    @abstractmethod
    def outgoing_edits(self, request: Request, *, completion_field: str, stream_usage: bool) -> dict[str, Any]:
        """The fields to change on the way to an upstream whose chat spells its completion limit `completion_field`."""

    # -------------------------------------------------- whole answers

    def read(self, body: bytes) -> Json | None:
        """A whole answer, parsed as far as we act upon it; None when it is no JSON object."""
        return json_bytes.object_in(body)

    @abstractmethod
    def usage(self, answer: Json) -> Usage | None:
        """The usage that a whole answer or an event of a stream reports."""

    @abstractmethod
    def is_finished(self, answer: Json) -> bool:
        """Whether every part of a whole answer came to its proper end."""

    def finish_reason(self, answer: Json) -> str | None:
        """How a whole answer ended, in the upstream's words; of several choices the first."""
        return None

    @abstractmethod
    def generated_text(self, answers: Iterable[Json]) -> str:
        """All that was generated in whole answers or events of a stream, in order, to count its tokens."""

    # -------------------------------------------------- streams

    # An endpoint that never streams leaves these as they are.

    telling: ClassVar[re.Pattern[bytes]] = re.compile(rb'"(?:usage"\s*:\s*\{|error"\s*:\s*[{"])')
    """What stands in every event that has to be read on its way, `[DONE]` aside: usage, errors. Others pass unread.

    Its branches have a beginning in common, which makes the search four times faster.
    """
    plain: ClassVar[re.Pattern[bytes]] = re.compile(rb"(?!)")
    """What stands once in an event that adds one text and nothing else; its group is the text, as JSON writes it."""
    ending: ClassVar[re.Pattern[bytes]] = re.compile(rb'"finish_reason"\s*:\s*"([a-z_]{1,32})"')
    """Its group is the finish reason, in one of the last events of a stream."""
    ends_with_done: ClassVar[bool] = True
    """A stream is whole with `[DONE]` and over with an error; otherwise whole with an event that `is_last`."""

    def is_preamble(self, event: Json) -> bool:
        """An event that announces an answer, or a part of one, and has nothing of it yet."""
        return False

    def is_last(self, event: Json) -> bool:
        """The event with which a stream that does not end with `[DONE]` is whole."""
        return False

    def is_usage_only(self, event: Json) -> bool:
        """The event that exists only because usage was asked for."""
        return False

    def assemble(self, events: Sequence[Json]) -> dict[str, Any] | None:
        """The whole answer that the events of a stream amount to; None when it did not come to its end."""
        return None

    def to_stream(self, answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
        """A whole answer as the pieces of a stream, its end included."""
        return []

    def cut_short(self, events: Sequence[Json], *, choices: int, usage: Usage, tells_usage: bool) -> bytes:
        """What a stream that is cut after `events` ends with, as if its model had come to its completion limit.

        `usage` is told where the endpoint always does, or where the client `tells_usage` to be wanted.
        """
        return b""

    def error_event(self, error: GatewayError, *, after: bytes) -> bytes:
        """How a stream that has begun tells `error` and ends; `after` are the events that left last."""
        return to_event(error)


def missing_cap(request: Request, field: str) -> dict[str, Any]:
    """The route's completion limit as an edit of `field`, where the client named none."""
    if request.completion_caps or request.completion_cap is None:
        return {}
    return {field: request.completion_cap}


def wish_for_usage(request: Request, *, stream_usage: bool) -> dict[str, Any]:
    """The edit that makes a stream report its usage; the client's other stream options stay."""
    if not (request.is_stream and stream_usage) or request.wants_usage:
        return {}
    return {"stream_options": {**optional_object(request.fields, "stream_options"), "include_usage": True}}
