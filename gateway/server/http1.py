"""HTTP/1.1 as the fast lane speaks it: the one plain form of request it reads, and the answers it writes. Pure.

What has not that plain form is not refused here. It is left to aiohttp, which reads every form and
is the one place where requests are refused; `ambiguity` says what it refuses beyond its own parser.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.exchange import Headers
from gateway.server.client import SERVER_HEADER
from gateway.value import value
from gateway.wire.endpoint import Endpoint

MAX_HEAD_BYTES = 16 << 10
"""Of a request that the lane serves; aiohttp, which gets the others, allows 128 headers of 8 KB."""

_ELSEWHERE = tuple(
    map(
        istr,
        (
            *("Transfer-Encoding", "Content-Encoding", "Upgrade", "Expect", "Origin"),
            *("Content-Location", "Content-Range", "ETag", "Max-Forwards", "Server"),
        ),
    )
)
"""What means work that aiohttp and its handlers do, and then what is in no request but must not stand twice in one."""
_LENGTH = re.compile(r"[0-9]{1,10}")
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:\[\]%-]*")
"""RFC 3986, 3.2.2 and 3.2.3, loosely: nothing in it passes for a path, a user or a second host."""
_NAMES_KEPT = 512
_HEADS_KNOWN = 1024
_WORTH_KNOWING = 2048
"""Bytes. With what is derived from them all known heads take some 8 MB at most."""


@value
class Head:
    """The head of a request that the lane serves."""

    endpoint: Endpoint
    headers: CIMultiDictProxy[str]
    length: int
    """Bytes of the body that follows."""
    keeps_alive: bool
    """False when the client wants the connection closed after the answer."""
    derived: dict[Callable[..., Any], Any] = field(default_factory=dict, compare=False)
    """See `Incoming`."""


class HeadReader:
    """Reads the heads of POST requests for `endpoints`."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = {b"POST /v1%s HTTP/1.1" % endpoint.path.encode(): endpoint for endpoint in endpoints}
        self._names = _Names()
        self._known: dict[bytes, Head] = {}
        """Programs send the same head with every request, but for the length: few are read more than once."""

    def may_begin_with(self, data: bytes) -> bool:
        """Whether a head that `read` accepts may begin with `data`, which has no empty line yet."""
        first, line_end, _ = data.partition(b"\r\n")
        if line_end:
            is_ours = first in self._endpoints
        else:
            is_ours = any((line + b"\r").startswith(data) for line in self._endpoints)
        return is_ours and len(data) < MAX_HEAD_BYTES and _parsed(data) is not None

    def read(self, head: bytes) -> Head | None:
        """`head`, its empty line included, or None: it has not the one plain form that the lane serves."""
        known = self._known.get(head)
        if known is not None:
            return known
        read = self._read(head)
        if read is not None and len(head) <= _WORTH_KNOWING:
            if len(self._known) >= _HEADS_KNOWN:
                self._known.clear()
            self._known[head] = read
        return read

    def _read(self, head: bytes) -> Head | None:
        endpoint = self._endpoints.get(head[: head.find(b"\r\n")])
        if endpoint is None or len(head) > MAX_HEAD_BYTES or b" \r\n" in head or b"\t\r\n" in head:
            return None
        lines = _parsed(head)
        if lines is None or not lines.are_complete:
            return None
        names = self._names
        headers = CIMultiDict([(names[name], value.decode("utf-8", "surrogateescape")) for name, value in lines.pairs])
        lengths = headers.getall("Content-Length", ())
        connection = ", ".join(headers.getall("Connection", ("keep-alive",))).lower()
        if (
            len(lengths) != 1
            or not _LENGTH.fullmatch(lengths[0])
            or connection not in ("keep-alive", "close")
            or any(map(headers.__contains__, _ELSEWHERE))
            or len(headers.getall("Content-Type", ())) > 1
            or len(headers.getall("User-Agent", ())) > 1
            or ambiguity(headers) is not None
        ):
            return None
        return Head(endpoint, CIMultiDictProxy(headers), int(lengths[0]), connection == "keep-alive")


class _Names(dict[bytes, istr]):
    """Clients spell few names in few ways: each is decoded and lowercased once."""

    def __missing__(self, raw: bytes) -> istr:
        name = istr(raw.decode("latin-1"))
        if len(self) < _NAMES_KEPT:
            self[raw] = name
        return name


class _Lines:
    """The header lines that httptools finds in a head."""

    __slots__ = ("are_complete", "pairs")

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.are_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value))

    def on_headers_complete(self) -> None:
        self.are_complete = True


def _parsed(head: bytes) -> _Lines | None:
    """What is there of `head`; None when it can be no HTTP, however it goes on."""
    lines = _Lines()
    try:
        HttpRequestParser(lines).feed_data(head)
    except (HttpParserError, HttpParserUpgrade):
        return None
    return lines


def ambiguity(headers: Headers, *, needs_host: bool = True) -> str | None:
    """What two servers on a request's way might read in two ways, told to the client; None when nothing is."""
    hosts = headers.getall("Host", ())
    if len(hosts) > 1 or (needs_host and not hosts) or not all(map(_HOST.fullmatch, hosts)):
        return "The request needs exactly one valid Host header."
    if len(headers.getall("Authorization", ())) > 1:
        return "The request has more than one Authorization header."
    codings = headers.getall("Transfer-Encoding", ())
    if codings and (len(codings) > 1 or codings[0].lower() != "chunked"):
        return "The request has a Transfer-Encoding other than 'chunked'."
    return None


# ------------------------------------------------------------------ answers

_BODYLESS = frozenset({204, 304})


def has_body(status: int) -> bool:
    """Whether an answer with `status` has a body at all (RFC 9112, 6.3; interim answers are no answers here)."""
    return status not in _BODYLESS


def _start_line(status: int, phrase: str = "") -> str:
    return f"HTTP/1.1 {status} {phrase}\r\n{SERVER_HEADER[0]}: {SERVER_HEADER[1]}\r\n"


_START_LINES = {status.value: _start_line(status.value, status.phrase) for status in HTTPStatus}


class HeadWriter:
    """Writes the heads of answers."""

    def __init__(self) -> None:
        self._second = -1
        self._date = ""

    def write(
        self, status: int, headers: Iterable[tuple[str, str]], *, length: int | None, closes: bool, now: float
    ) -> bytes:
        """The head of an answer whose body has `length` bytes, or comes in chunks when that is None.

        `now` is Unix time in seconds. ValueError when a header would be more than one line.
        """
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        text = "".join(lines)
        if not text.count("\r") == text.count("\n") == len(lines) or "\0" in text:
            raise ValueError("a header of the answer has a line break or a NUL in it")
        if not has_body(status):
            framing = ""
        elif length is None:
            framing = "Transfer-Encoding: chunked\r\n"
        else:
            framing = f"Content-Length: {length}\r\n"
        closing = "Connection: close\r\n" if closes else ""
        start = _START_LINES.get(status) or _start_line(status)
        return f"{start}{text}{self._date_line(int(now))}{framing}{closing}\r\n".encode("utf-8", "surrogateescape")

    def _date_line(self, second: int) -> str:
        """Made once a second (RFC 9110, 6.6.1)."""
        if second != self._second:
            self._second = second
            self._date = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._date
