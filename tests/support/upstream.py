"""A model API that does exactly what the test says, down to the bytes on the wire.

A real HTTP/1.1 server on a real port. It plays its script one step a request, in the order the
requests arrive, over all connections together, and keeps what it was sent byte for byte. For
plausible answers to any request use `gateway.simulator` instead; this one is for what a real
server does on a bad day.

    @pytest.fixture
    async def upstream() -> AsyncIterator[ScriptedUpstream]:
        async with ScriptedUpstream(Reply(429), Reply.of(chat_body("Hello."))) as upstream:
            yield upstream

    async def test_a_429_is_tried_again(upstream: ScriptedUpstream) -> None:
        ...                                          # talk to upstream.base_url
        assert len(upstream.requests) == 2
        assert upstream.requests[1].json()["model"] == "gpt-4o-mini"

Nothing here needs a sleep: a `Stream` waits for any `asyncio.Event` that stands among its chunks,
`await upstream.seen(2)` waits for the second request, and `await request.gone.wait()` for the
client to hang up.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

from tests.support.loopback import LoopbackServer

MAX_HEAD_BYTES = 1 << 20
JSON_HEADERS = (("Content-Type", "application/json"),)
SSE_HEADERS = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))
DONE = b"data: [DONE]\n\n"

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    """With the query string, undecoded."""
    headers: tuple[tuple[str, str], ...]
    """In their order and spelling."""
    body: bytes
    """Without the chunked framing, if there was any."""
    connection: int
    """Number of the connection it came on, from 0: equal numbers mean that one was reused."""
    gone: asyncio.Event = field(default_factory=asyncio.Event, compare=False, repr=False)
    """Set once the client has closed the connection this came on."""

    def header(self, name: str) -> str | None:
        """The first value of `name`, in any case; None when absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


# ------------------------------------------------------------------ what a script is made of


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer with its Content-Length; the connection stays open."""

    status: int = 200
    body: bytes = b"{}"
    headers: Headers = JSON_HEADERS

    @classmethod
    def of(cls, value: object, status: int = 200, headers: Headers = ()) -> "Reply":
        """`value` as JSON, with `headers` beside the content type."""
        return cls(status, json.dumps(value).encode(), (*JSON_HEADERS, *headers))


@dataclass(frozen=True, slots=True)
class Stream:
    """A chunked answer, each item its own write: bytes are sent, an Event is awaited, a number slept (seconds).

    With `cut` the connection closes after the last item without the terminating chunk, as when a server dies.
    """

    chunks: Sequence[bytes | asyncio.Event | float]
    cut: bool = False
    status: int = 200
    headers: Headers = SSE_HEADERS

    @classmethod
    def of(cls, *values: object, done: bool = True, cut: bool = False) -> "Stream":
        """One `data:` event a value, then `[DONE]`; an Event stays an Event, to wait for."""
        chunks = [value if isinstance(value, asyncio.Event) else event(value) for value in values]
        return cls([*chunks, DONE] if done else chunks, cut=cut)


@dataclass(frozen=True, slots=True)
class Raw:
    """These very bytes, status line and framing included, then the connection closes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Stall:
    """These bytes, possibly none, then silence until the client leaves or the server is closed."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is torn down (TCP RST) with no answer at all."""


Step = Reply | Stream | Raw | Stall | Reset
Handler = Callable[[Seen], Step | Awaitable[Step]]
"""Decides when the request is there; may look at it, and may wait."""


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


# ------------------------------------------------------------------ chat answers, as OpenAI spells them


def usage(
    prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, reasoning_tokens: int = 0
) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens, "audio_tokens": 0},
    }


def chat_body(
    content: str = "Hello.",
    *,
    model: str = "gpt-4o-mini",
    finish_reason: str = "stop",
    usage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A `chat.completion`; without `usage` it has none."""
    message = {"role": "assistant", "content": content, "refusal": None}
    body: dict[str, Any] = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "system_fingerprint": "fp_scripted",
    }
    return body if usage is None else {**body, "usage": usage}


def chat_chunks(
    *pieces: str, model: str = "gpt-4o-mini", finish_reason: str = "stop", usage: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """`chat.completion.chunk`s: the role, one a piece, the finish reason, and a usage chunk if `usage` is given."""

    def chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": "chatcmpl-scripted",
            "object": "chat.completion.chunk",
            "created": 1_800_000_000,
            "model": model,
            "system_fingerprint": "fp_scripted",
            "choices": choices,
        }

    def delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])

    chunks = [delta({"role": "assistant", "content": ""}), *(delta({"content": piece}) for piece in pieces)]
    chunks.append(delta({}, finish_reason))
    if usage is not None:
        chunks.append({**chunk([]), "usage": usage})
    return chunks


# ------------------------------------------------------------------ the server


class ScriptedUpstream(LoopbackServer):
    """Plays `steps` in order; whatever comes after the script gets `then`, or a 500 that says so."""

    def __init__(
        self, *steps: Step | Handler, then: Step | Handler | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(tls=tls, max_head_bytes=MAX_HEAD_BYTES)
        self.requests: list[Seen] = []
        self.connections = 0
        """Opened so far."""
        self._steps = list(steps)
        self._then = then
        self._arrived = asyncio.Condition()

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    async def seen(self, count: int) -> list[Seen]:
        """Wait until `count` requests have arrived in all, and return all there are."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        # Reading goes on while an answer is being sent: only so is a client that leaves noticed.
        inbox: asyncio.Queue[Seen | None] = asyncio.Queue()
        gone = asyncio.Event()
        reading = asyncio.create_task(self._read_all(reader, number, gone, inbox))
        try:
            while (request := await inbox.get()) is not None:
                if not await _play(await self._next_step(request), request, writer):
                    break
        except ConnectionError:
            gone.set()  # the client left while something was being written, before its end was read
        except asyncio.CancelledError:
            pass  # the server is being closed
        finally:
            reading.cancel()

    async def _read_all(
        self, reader: asyncio.StreamReader, number: int, gone: asyncio.Event, inbox: asyncio.Queue[Seen | None]
    ) -> None:
        try:
            while True:
                request = await _read(reader, number, gone)
                async with self._arrived:
                    self.requests.append(request)
                    self._arrived.notify_all()
                inbox.put_nowait(request)
        except (asyncio.IncompleteReadError, ConnectionError):
            gone.set()
            inbox.put_nowait(None)

    async def _next_step(self, request: Seen) -> Step:
        step = self._steps.pop(0) if self._steps else self._then
        if step is None:
            message = f"the script is over; this is request {len(self.requests)}"
            return Reply.of({"error": {"message": message, "type": "server_error", "param": None, "code": None}}, 500)
        if not callable(step):
            return step
        decided = step(request)
        return await decided if isinstance(decided, Awaitable) else decided


async def _read(reader: asyncio.StreamReader, connection: int, gone: asyncio.Event) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, path, _ = request_line.split(" ")
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    lowered = {name.lower(): value for name, value in headers}
    if lowered.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunked(reader)
    else:
        body = await reader.readexactly(int(lowered.get("content-length", "0")))
    return Seen(method, path, headers, body, connection, gone)


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)


async def _play(step: Step, request: Seen, writer: asyncio.StreamWriter) -> bool:
    """Answer `request`; False when the connection must not be used again."""
    match step:
        case Reply(status, body, headers):
            writer.write(_head(status, (*headers, ("Content-Length", str(len(body))))) + body)
            await writer.drain()
            return True
        case Stream():
            return await _play_stream(step, writer)
        case Raw(data):
            writer.write(data)
            await writer.drain()
            return False
        case Stall(data):
            writer.write(data)
            await writer.drain()
            await request.gone.wait()
            return False
        case Reset():
            writer.transport.abort()
            return False


async def _play_stream(step: Stream, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(step.status, (*step.headers, ("Transfer-Encoding", "chunked"))))
    await writer.drain()
    for item in step.chunks:
        if isinstance(item, asyncio.Event):
            await item.wait()
        elif isinstance(item, bytes):
            writer.write(b"%x\r\n%s\r\n" % (len(item), item))
            await writer.drain()
        else:
            await asyncio.sleep(item)
    if not step.cut:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return not step.cut


def _head(status: int, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Scripted')}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
