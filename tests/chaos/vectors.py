"""What hostile clients send: the lists and how they are made."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

MESSAGES = [{"role": "user", "content": "hello"}]
BODIES: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        {"model": "gpt-5-mini", "messages": MESSAGES},
        {"model": "gpt-5-mini", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}},
        {
            "model": "gpt-5-mini",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "é"}]}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "max_completion_tokens": 10,
            "n": 2,
        },
    ],
    "/v1/completions": [{"model": "gpt-3.5-turbo-instruct", "prompt": ["a", "b"], "max_tokens": 3}],
    "/v1/embeddings": [{"model": "text-embedding-3-small", "input": [[1, 2, 3], [4]]}],
    "/v1/responses": [{"model": "gpt-5-mini", "input": [{"role": "user", "content": "hello"}], "store": False}],
}
PIECES = (
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[" * 200, b"]", b","),
    *(b"NaN", b"Infinity", b"-1", b"1e999", b"null", b"true", b'"model":1,', b'"model":"x",', b'"messages":{},'),
    *(b'"stream":"yes",', b'"max_tokens":-1,', b'"n":1e9,', b" " * 500, b'{"a":' * 100, b'"logit_bias":[],'),
)


def bodies(count: int, rng: Random) -> Iterator[tuple[str, bytes]]:
    plain = [(path, json.dumps(body).encode()) for path, some in BODIES.items() for body in some]
    for _ in range(count):
        yield rng.choice(plain)


# ------------------------------------------------------------------ wrong types

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, "", "x" * 100, [], [None], [[]], {}, {"a": 1}, [{"role": 1}]),
)
FIELDS = {
    "/v1/chat/completions": "model messages stream stream_options max_tokens max_completion_tokens n tools tool_choice "
    "functions response_format temperature top_p stop logit_bias logprobs seed user metadata modalities audio "
    "prediction reasoning_effort service_tier store parallel_tool_calls presence_penalty verbosity prompt_cache_key",
    "/v1/completions": "model prompt stream stream_options max_tokens n best_of echo logprobs stop suffix logit_bias",
    "/v1/embeddings": "model input encoding_format dimensions user",
    "/v1/responses": "model input instructions stream max_output_tokens tools tool_choice text reasoning store "
    "previous_response_id conversation background include metadata temperature truncation prompt user",
}


def wrong_types() -> Iterator[tuple[str, bytes]]:
    for path, fields in FIELDS.items():
        for field in fields.split():
            for value in VALUES:
                yield path, json.dumps({**BODIES[path][0], field: value}).encode()


# ------------------------------------------------------------------ framing

_TRANSFER_ENCODINGS = (
    *("Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding: chunked, identity"),
    *(
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
    ),
    *("Transfer-Encoding:\tchunked\x0b", "Transfer-Encoding: \x00chunked", "Transfer-Encoding: chunked\x00"),
    *("Transfer-Encoding: 'chunked'", 'Transfer-Encoding: "chunked"', "Transfer-Encoding: chunked;q=1"),
    *(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: x",
    ),
    *("Transfer-Encoding:\r\n chunked", "Transfer-Encoding: \r\n\tchunked", "Transfer\x00-Encoding: chunked"),
    *("Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked"),
    *("X: y\nTransfer-Encoding: chunked", "Transfer-Encoding: chunk", "Transfer-Encoding: cow", "Transfer-Encoding: "),
    *("Transfer-Encoding: chunked,", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked ,x"),
    *("Transfer-Encoding: \xa0chunked", "Transfer-Encoding: ch\u00a0unked", "TRANSFER-ENCODING: CHUNKEDX"),
)
_LENGTHS = (
    *("Content-Length: 4\r\nContent-Length: 5", "Content-Length: 4, 5", "Content-Length: 4, 4", "Content-Length: +4"),
    *("Content-Length: -1", "Content-Length: 0x4", "Content-Length: 4.0", "Content-Length: 4e0", "Content-Length: 1 0"),
    *("Content-Length: ", "Content-Length: a", "Content-Length : 4", "Content-Length\t: 4", " Content-Length: 4"),
    *(
        "Content-Length: 4\x00",
        "Content-Length: \x0b4",
        "Content-Length:\r\n 4",
        "Content-Length: 99999999999999999999",
    ),
    *(
        "X: y\nContent-Length: 4",
        "X: y\rContent-Length: 4",
        "Content-Length: 4;",
        "Content-Length: '4'",
        "Content-Length: ٤",
    ),
)
_CHUNKS = (
    *(b"0x2\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"+2\r\n{}\r\n0\r\n\r\n", b"2 \n{}\r\n0\r\n\r\n"),
    *(b"2\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"2\r\n{}X\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    *(b"2\r{}\r\n0\r\n\r\n", b"\r\n2\r\n{}\r\n0\r\n\r\n", b"2;\x00\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\n0\r\n\r\n"),
)
_PATHS = ("/v1/chat/completions", "/v1/audio/speech")


def smuggling(key: str) -> Iterator[bytes]:
    """Each hides a second request, for a path with `smuggled` in it, behind what two servers may read in two ways."""
    hidden = f"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()

    def request(path: str, framing: str, body: bytes) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{framing}\r\n\r\n"
        return head.encode("utf-8") + body

    for path in _PATHS:
        for coding in _TRANSFER_ENCODINGS:
            yield request(path, coding, b"0\r\n\r\n" + hidden)
            yield request(path, f"Content-Length: {5 + len(hidden)}\r\n{coding}", b"0\r\n\r\n" + hidden)
        yield request(path, "Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + hidden)
        yield request(path, "Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n" + hidden)
        for length in _LENGTHS:
            yield request(path, length, b"{}  " + hidden)
        for chunks in _CHUNKS:
            yield request(path, "Transfer-Encoding: chunked", chunks + hidden)


# ------------------------------------------------------------------ paths

_STEPS = (
    *("..", "%2e%2e", "%2E%2e", ".%2e", "%2e.", "..;", "..;x=1", "..%2f", "..%2F..", "%2e%2e%2f", "..\\", "..%5c"),
    *(
        "%252e%252e",
        "%25%32%65",
        "%c0%ae%c0%ae",
        "%c1%1c",
        ".",
        "%2e",
        "a%00",
        "%00",
        "..%00",
        "a%2fb",
        "a%5cb",
        "a\\b",
    ),
    *("%", "%2", "%zz", "%u002e%u002e", "a b", "a\tb", "\x7f", "a#b", "", "..%0d%0a", "é"),
)
_FRAMES = ("/v1/{}/admin", "/v1/files/{}/../../admin", "/v1/files/{}", "/{}/v1/files")
_WHOLE = (
    *("/admin/status", "//v1/files", "/V1/files", "/v1", "/v1//files", "/v1/files//x", "v1/files", "*", "/v2/files"),
    *("http://evil.example/v1/../admin", "http://127.0.0.1:1/admin", "//evil.example/v1/files", "/metrics", "/ui"),
    *("/v1/files/..", "/v1/./files", "/v1/..", "/v1/...;/..", "/.well-known/x", "/v1/files/%2e%2e%2f%2e%2e%2fadmin"),
)


def paths(key: str) -> Iterator[bytes]:
    targets = [frame.format(step) for frame in _FRAMES for step in _STEPS if frame != "/v1/files/{}" or step]
    for target in [*targets, *_WHOLE]:
        yield f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


# ------------------------------------------------------------------ credentials

Headers = list[tuple[str, str]]


def credentials(key: str) -> Iterator[tuple[str, str, Headers]]:
    """None of these is the key, or none stands where a key belongs."""
    values = (
        *("", "Bearer", "Bearer ", "Bearer\t", f"Basic {key}", f"Token {key}", f"Digest {key}", key, f"Bearer{key}"),
        *(f"Bearer {key}x", f"Bearer x{key}", f"Bearer {key[:-1]}", f"Bearer {key.upper()}", f"Bearer {key} {key}"),
        *(f"Bearer {key},{key}", f'Bearer "{key}"', f"Bearer '{key}'", f"Bearer {key};", "Bearer *", "Bearer null"),
        *("Bearer undefined", "Bearer true", "Bearer ' OR 1=1 --", "Bearer ${KEY}", "Bearer anonymous", "Bearer chaos"),
        *("Bearer " + "a" * 5000, "Bearer \xff\xfe", "Bearer %00", f"Bearer {key}%00", "Bearer {}", "Bearer []"),
    )
    for value in values:
        yield "POST", "/v1/chat/completions", [("Authorization", value)]
    elsewhere: tuple[Headers, ...] = (
        [("X-Forwarded-User", "chaos")],
        [("X-Original-URL", "/healthz")],
        [("X-Rewrite-URL", "/healthz")],
        [("Cookie", f"key={key}")],
        [("X-Gateway-Key", key)],
        [("X-Forwarded-For", "127.0.0.1")],
        [("Forwarded", "for=127.0.0.1")],
        [("X-Api-Key", key)],
        [("Api-Key", key)],
        [("Proxy-Authorization", f"Bearer {key}")],
        [("X-Gateway-Route", "default")],
        [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {key}")],
    )
    for headers in elsewhere:
        yield "POST", "/v1/chat/completions", headers
    for path in (
        f"/v1/chat/completions?api_key={key}",
        "/v1/audio/speech",
        "/v1/files",
        "/v1/embeddings",
        "/v1/responses",
    ):
        yield "POST", path, []


def operators(admin_key: str, key: str) -> Iterator[tuple[str, Headers]]:
    """On the admin port: none of these may see what is under /admin."""
    for path in ("/admin/status", "//admin/status", "/%61dmin/status", "/admin%2fstatus", "/healthz/../admin/status"):
        yield path, []
    for value in (f"Bearer {key}", f"Basic {admin_key}", "Bearer", f"Bearer {admin_key}x", f"Bearer {admin_key[:-1]}"):
        yield "/admin/upstreams", [("Authorization", value)]
