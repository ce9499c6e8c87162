"""What the pipeline needs to know of an inference endpoint, whichever it is.

One subclass a URL (`chat.py`, …); the table of them all is `endpoints.py`. Methods are pure:
bytes and parsed JSON in, values out.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from gateway.values import Request, Usage
from gateway.wire.repeats import refuse_repeats

Name = Literal["chat"]
Json = Mapping[str, Any]


class Endpoint(ABC):
    """How to read requests and answers of one URL."""

    name: ClassVar[Name]
    path: ClassVar[str]
    """Below `/v1`."""
    completion_fields: ClassVar[tuple[str, ...]]
    """Every spelling of the completion limit that clients use here."""
    read_fields: ClassVar[tuple[str, ...]]
    """Top-level fields we act upon; one that stands twice would mean different things to us and upstream."""

    def parse(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        """`body`, already parsed into `fields`, as a `Request`; BadRequest names the field that is wrong."""
        refuse_repeats(body, fields, self.read_fields)
        return self._parse(body, fields)

    @abstractmethod
    def _parse(self, body: bytes, fields: Mapping[str, Any]) -> Request: ...

    @abstractmethod
    def query(self, request: Request) -> str:
        """The text that says how hard the request is: what the user asked last."""

    @abstractmethod
    def outgoing_edits(self, request: Request, *, completion_field: str, stream_usage: bool) -> dict[str, Any]:
        """The fields to change on the way to an upstream that spells its completion limit `completion_field`."""

    @abstractmethod
    def usage(self, answer: Json) -> Usage | None:
        """The usage that a whole answer or an event of a stream reports."""

    @abstractmethod
    def is_finished(self, answer: Json) -> bool:
        """Whether every part of a whole answer came to its proper end."""

    # -------------------------------------------------- streams

    @abstractmethod
    def is_usage_only(self, event: Json) -> bool:
        """The event that exists only because usage was asked for."""

    @abstractmethod
    def assemble(self, events: Sequence[Json]) -> dict[str, Any] | None:
        """The whole answer that the events of a stream amount to; None when it did not come to its end."""

    @abstractmethod
    def generated_text(self, answers: Iterable[Json]) -> str:
        """All that was generated in whole answers or events of a stream, in order, to count its tokens."""

    @abstractmethod
    def to_stream(self, answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
        """A whole answer as the pieces of a stream, its end included."""
