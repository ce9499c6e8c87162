"""A model API that costs next to nothing: `python -m tests.bench.mock_upstream PORT`.

Whole answers are one fixed chat completion of 521 bytes. Streams are 52 events: 50 of 233 bytes, one with
the usage and `[DONE]`; 10 ms apart, or without a pause where the request's `user` is `burst`. Every event
is a write of its own. `GET /requests` tells how many answers were asked for, so that a run can check that
misses arrive here and hits do not.
"""

import asyncio
import json
import sys
from typing import cast

import httptools
import uvloop

PACE_S = 0.010
TOKENS = 50
EVENTS = TOKENS + 2
"""Lines that begin with `data: ` in a complete stream."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
_USAGE = {"prompt_tokens": 96, "completion_tokens": TOKENS, "total_tokens": 96 + TOKENS}
_COMMON = {"id": "chatcmpl-bench000000000000000000", "created": 1_763_800_000, "model": "gpt-4o-mini"}
_TEXT = (
    "Please wait until Friday evening: express parcels that show no new scan are nearly always delivered within five "
    "days. After that the shop will pay the express fee back to you."
)


def completion() -> bytes:
    message = {"role": "assistant", "content": _TEXT}
    choice = {"index": 0, "logprobs": None, "finish_reason": "stop", "message": message}
    document = {**_COMMON, "object": "chat.completion", "system_fingerprint": "fp_bench", "choices": [choice]}
    return _dump({**document, "usage": _USAGE, "service_tier": "default"})


def events() -> list[bytes]:
    """Ready to write, as chunks of chunked encoding; the last one ends the answer."""
    common = {**_COMMON, "object": "chat.completion.chunk", "system_fingerprint": "fp_bench"}
    documents = []
    for n in range(TOKENS):
        delta = {"role": "assistant", "content": ""} if n == 0 else {"content": f" token{n:02}"}
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if n == TOKENS - 1 else None}
        documents.append(_dump({**common, "choices": [choice]}))
    documents += [_dump({**common, "choices": [], "usage": _USAGE}), b"[DONE]"]
    chunks = [_chunk(b"data: %s\n\n" % document) for document in documents]
    return [*chunks[:-1], chunks[-1] + _chunk(b"")]


def _dump(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _whole(body: bytes) -> bytes:
    return HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


class Counter:
    """Answers asked for, over all connections."""

    def __init__(self) -> None:
        self.asked = 0


class Connection(asyncio.Protocol):
    """One client; requests come one after the other, as all the proxies here send them."""

    COMPLETION = _whole(completion())
    STREAM_HEAD = HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n"
    EVENTS = events()

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if self._parser.get_method() == b"GET":
            self._transport.write(_whole(_dump({"requests": self._counter.asked})))
            return
        self._counter.asked += 1
        if b'"stream":true' in body or b'"stream": true' in body:
            self._transport.write(self.STREAM_HEAD)
            is_burst = b'"user":"burst"' in body or b'"user": "burst"' in body
            self._send(0, 0.0 if is_burst else PACE_S)
        else:
            self._transport.write(self.COMPLETION)

    def _send(self, n: int, pause_s: float) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self.EVENTS[n])
        if n + 1 < len(self.EVENTS):
            self._loop.call_later(pause_s, self._send, n + 1, pause_s)


async def serve(port: int) -> None:
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counter), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
