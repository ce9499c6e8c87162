"""Upstreams that fail in every way there is: before the answer, instead of it, in the middle of it."""

import asyncio
import json
from random import Random

from tests.support.upstream import (
    DONE,
    Raw,
    Reply,
    Reset,
    Seen,
    Stall,
    Step,
    Stream,
    chat_body,
    chat_chunks,
    event,
    usage,
)

OVERLOADED = {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}}
CHUNKS = chat_chunks("Hel", "lo", " there", usage=usage(8, 4))
WHOLE = Reply.of(chat_body("Hello there.", usage=usage(8, 4)))
STREAM = Stream.of(*CHUNKS)
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def is_stream(seen: Seen) -> bool:
    return b'"stream": true' in seen.body or b'"stream":true' in seen.body


def healthy(seen: Seen) -> Step:
    return STREAM if is_stream(seen) else WHOLE


BEFORE: dict[str, Step] = {
    "connection reset": Reset(),
    "500": Reply.of(OVERLOADED, 500),
    "503 with Retry-After": Reply.of(OVERLOADED, 503, [("Retry-After", "60")]),
    "429 with Retry-After": Reply.of(OVERLOADED, 429, [("Retry-After", "60")]),
    "an error that calls itself a 200": Reply.of(OVERLOADED),
    "cut before the first byte of the body": Raw(JSON_HEAD + b"Content-Length: 500\r\n\r\n"),
}
"""Six ways to fail of which no byte may reach the client, streamed or not."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WAYS: dict[str, Step] = {
    **BEFORE,
    "closed without a word": Raw(b""),
    "502 in HTML": Reply(502, b"<html>Bad Gateway</html>", (("Content-Type", "text/html"),)),
    "529": Reply.of(OVERLOADED, 529),
    "another protocol": Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "half a head": Raw(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "both lengths": Raw(JSON_HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": Raw(JSON_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "an interim answer without end": Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000),
    "a head without end": Raw(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(9000))),
    "a switch of protocols": Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "gzip that is none": Raw(JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"),
    "silence": Stall(),
    "silence after the head": Stall(SSE_HEAD),
    "an empty stream": Stream([]),
    "a stream that begins with an error": Stream([event(OVERLOADED)]),
    "a stream of comments": Stream([b": hold on\n\n"] * 3),
    "cut in the first event": Stream([b'data: {"id":'], cut=True),
    "cut after an event": Stream([event(CHUNKS[0]), event(CHUNKS[1])], cut=True),
    "cut within an event": Stream([event(CHUNKS[0]), event(CHUNKS[1])[:30]], cut=True),
    "an end without a finish": Stream([event(CHUNKS[0]), event(CHUNKS[1])]),
    "an end behind the role": Stream([event(CHUNKS[0])]),
    "cut behind the role": Stream([event(CHUNKS[0])], cut=True),
    "an error behind the role": Stream([event(CHUNKS[0]), event(OVERLOADED)]),
    "silence behind the role": Stream([event(CHUNKS[0]), asyncio.Event()]),
    "[DONE] without a finish": Stream([event(CHUNKS[0]), DONE]),
    "an error in the middle": Stream([event(CHUNKS[0]), event(CHUNKS[1]), event(OVERLOADED), DONE]),
    "silence in the middle": Stream([event(CHUNKS[0]), event(CHUNKS[1]), asyncio.Event()]),
    "a broken chunk size": Raw(SSE_HEAD + chunk(event(CHUNKS[0])) + b"zz\r\n"),
    "a second answer behind the first": Raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(WHOLE.body), WHOLE.body)
        + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    ),
}
"""What an upstream can do to one request, streamed or not."""

MIDWAY: dict[str, Step] = {
    name: WAYS[name]
    for name in ("cut after an event", "cut within an event", "an end without a finish", "an error in the middle")
}
"""Ways to break a stream off of which some of the answer has left."""


class Failing:
    """An upstream that fails `share` of its requests, in the ways of `ways`."""

    def __init__(self, share: float, ways: dict[str, Step], *, seed: int = 1) -> None:
        self.share = share
        self._ways = list(ways.values())
        self._rng = Random(seed)

    def __call__(self, seen: Seen) -> Step:
        if self._rng.random() < self.share:
            return self._rng.choice(self._ways)
        return healthy(seen)


def answer_to(seen: Seen) -> Step:
    """Healthy, whatever is asked for."""
    if seen.path.endswith("/embeddings"):
        vector = {"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}
        body = {"object": "list", "data": [vector], "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
        return Reply(200, json.dumps(body).encode())
    if seen.path.endswith("/chat/completions"):
        return healthy(seen)
    return Reply.of({"object": "list", "data": []})
