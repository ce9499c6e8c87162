"""Requests to begin with, from good ones to those that smuggle, and the damage that is done to them."""

from collections.abc import Callable
from random import Random

_BODY = b'{"model":"m","a":1}'
_STREAM = b'{"model":"m","stream":true}'
_HOST = b"Host: gateway"
_LENGTH = b"Content-Length: 19"
_CHUNKED = b"Transfer-Encoding: chunked"
_CHAT = b"POST /v1/chat/completions HTTP/1.1"


def request(
    line: bytes = _CHAT,
    headers: tuple[bytes, ...] = (_HOST, _LENGTH),
    body: bytes = _BODY,
    *,
    end: bytes = b"\r\n",
) -> bytes:
    return b"".join(part + end for part in (line, *headers, b"")) + body


def _with(*headers: bytes) -> bytes:
    return request(headers=(_HOST, *headers, _LENGTH))


def _sized(*lengths: bytes) -> bytes:
    return request(headers=(_HOST, *lengths))


def _chunks(body: bytes, *headers: bytes) -> bytes:
    return request(headers=(_HOST, _CHUNKED, *headers), body=body)


PLAIN = (
    request(),
    request(body=_STREAM, headers=(_HOST, b"Content-Length: 27")),
    request(b"POST /v1/embeddings HTTP/1.1"),
    request(b"POST /v1/responses HTTP/1.1"),
    request(body=b"", headers=(_HOST, b"Content-Length: 0")),
    _with(b"Authorization: Bearer key-1", b"Content-Type: application/json", b"X-Tag: \xc3\xa9 \xff", b"X-Empty:"),
    _with(b"Connection: keep-alive"),
    _with(b"Connection: close"),
    _with(b"content-type:application/json", b"ACCEPT:  */*  ", b"X-T: a\tb"),
)
ELSEWHERE = (
    _with(b"Content-Encoding: gzip"),
    _with(b"Content-Encoding: identity"),
    _with(b"Origin: https://page.example"),
    _with(b"Expect: 100-continue"),
    _with(b"Expect: anything"),
    _with(b"Connection: upgrade", b"Upgrade: websocket"),
    _with(b"Connection: keep-alive, x-tag", b"X-Tag: 1"),
    _chunks(b"13\r\n" + _BODY + b"\r\n0\r\n\r\n"),
    _chunks(b"13;a=b\r\n" + _BODY + b"\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    request(b"POST /v1/chat/completions?a=b HTTP/1.1"),
    request(b"POST http://gateway/v1/chat/completions HTTP/1.1"),
    request(b"POST /v1/audio/speech HTTP/1.1"),
    request(b"POST /v1/chat/completions HTTP/1.0"),
    request(b"GET /v1/models HTTP/1.1", (_HOST,), b""),
    request(b"GET /healthz HTTP/1.1", (_HOST,), b""),
    request(b"OPTIONS /v1/chat/completions HTTP/1.1", (_HOST,), b""),
    request(b"GET /v1/chat/completions HTTP/1.1"),
    request(headers=(_HOST,), body=b""),
    b"\r\n" + request(),
    _sized(b"Content-Length: 0019"),
    request(_CHAT.replace(b"POST ", b"POST  ")),
    request(b"CONNECT other:443 HTTP/1.1", (_HOST,), b""),
    request(headers=(_HOST, b"Content-Length: 20000"), body=b"x" * 20000),
)
HOSTILE = (  # all of them a 400 and the end of the connection
    _sized(_LENGTH, _CHUNKED),
    _sized(_CHUNKED, _LENGTH),
    _sized(_LENGTH, _LENGTH),
    _sized(_LENGTH, b"Content-Length: 20"),
    *(_sized(b"Content-Length: " + value) for value in (b"19, 19", b"+19", b"-19", b"0x13", b"1 9", b"", b"9" * 25)),
    _sized(b"Content-Length : 19"),
    *(
        _chunks(b"0\r\n\r\n").replace(b": chunked", b": " + coding)
        for coding in (b"xchunked", b"identity", b"gzip, chunked", b"chunked, gzip", b'"chunked"', b"\x0bchunked")
    ),
    _chunks(b"0\r\n\r\n", _CHUNKED),
    _chunks(b"13\n" + _BODY + b"\n0\n\n"),
    _chunks(b"-13\r\n" + _BODY + b"\r\n0\r\n\r\n"),
    _chunks(b"13\r\n" + _BODY + b"0\r\n\r\n"),
    _chunks(b"fffffffffffffffff\r\n" + _BODY),
    request(end=b"\n"),
    request(headers=(_HOST + b"\nX-Tag: 1", _LENGTH)),
    request(headers=(_HOST + b"\rX-Tag: 1", _LENGTH)),
    request(headers=(_HOST, _LENGTH + b"\n"), body=_BODY),
    *(_with(line) for line in (b"X-Tag: a\0b", b"X\0: a", b"X-Tag: a\x7f", b"X-Tag: a\r\n b", b"X-Tag: a\r\n\tb")),
    *(_with(line) for line in (b"X-Tag : 1", b": 1", b"no colon", b"X\xc3\xa9: 1", b"Transfer-Encoding:")),
    request(headers=(b" X-Tag: 1", _HOST, _LENGTH)),
    request(headers=(_HOST, _HOST, _LENGTH)),
    request(headers=(_HOST, b"host: other", _LENGTH)),
    request(headers=(_LENGTH,)),
    request(headers=(b"Host: a b/c", _LENGTH)),
    _with(b"Authorization: Bearer key-1", b"authorization: Bearer key-2"),
    *(request(_CHAT.replace(b"1.1", version)) for version in (b"2.0", b"1.2", b"0.9", b"1.1x", b"1.1 ", b"")),
    request(b"POST /v1/chat/completions"),
    request(_CHAT.replace(b"HTTP", b"http")),
    request(_CHAT.replace(b"POST ", b"POST\t")),
    request(_CHAT.replace(b"POST", b"PO\0T")),
    request(b" " + _CHAT),
    request(b"post /v1/chat/completions HTTP/1.1"),
    request(b"POST /v1/chat/completions\0 HTTP/1.1"),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + request(),
)
CORPUS = (*PLAIN, *ELSEWHERE[:-1], *HOSTILE, request() + request(body=_STREAM, headers=(_HOST, b"Content-Length: 27")))
"""What is cut at each of its bytes; the long one is left to chance."""

# ------------------------------------------------------------------ damage

_TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\r\n\r\n", b"\n\n", b"0", b"9", b"\xff", b"\x0b"),
    *(b"chunked", b"close", b"0\r\n\r\n", b"HTTP/1.1", b"POST ", b"X: \r\n", b"Host: x\r\n", b"Content-Length: 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
    b"Authorization: Bearer k\r\n",
)


def _insert(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_TOKENS) + data[at:]


def _insert_line(data: bytes, rng: Random) -> bytes:
    """At the beginning of a line, where it does most."""
    lines = data.split(b"\r\n")
    at = rng.randrange(len(lines))
    return b"\r\n".join([*lines[:at], rng.choice(_TOKENS).removesuffix(b"\r\n"), *lines[at:]])


def _replace(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _remove(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 1, 2, 10)) :]


def _repeat_line(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\r\n")
    at = rng.randrange(len(lines))
    return b"\r\n".join([*lines[: at + 1], *lines[at:]])


def _swap_case(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at : at + 12].swapcase() + data[at + 12 :]


def _change_digit(data: bytes, rng: Random) -> bytes:
    digits = [at for at, byte in enumerate(data) if chr(byte).isdigit()]
    if not digits:
        return data
    at = rng.choice(digits)
    return data[:at] + str(rng.randrange(10)).encode() + data[at + 1 :]


def _cut_off(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(1, len(data) + 1)]


_DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_insert, _insert_line, _replace, _remove, _repeat_line, _swap_case, _change_digit, _cut_off),
)


def damage(data: bytes, rng: Random) -> bytes:
    """`data` with one thing wrong; never empty."""
    return rng.choice(_DAMAGES)(data, rng) or b"\r\n"


def damaged(rng: Random) -> bytes:
    """One to three requests in a row, good ones among them, with up to three damages."""
    sources = (PLAIN, PLAIN, ELSEWHERE, HOSTILE)
    data = b"".join(rng.choice(rng.choice(sources)) for _ in range(rng.choice((1, 1, 2, 3))))
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        data = damage(data, rng)
    return data
