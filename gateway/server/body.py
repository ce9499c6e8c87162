"""Reading a request's body: whole, bounded in size and time, and decoded."""

import asyncio
import zlib

from aiohttp import web

from gateway.errors import BadRequest, BodyTimeout, BodyTooLarge

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""RFC 9110, 8.4.1: `deflate` is the zlib format."""


async def read_body(request: web.Request, *, max_bytes: int, timeout_s: float) -> bytes:
    """The body, at most `max_bytes` of it before and after decoding."""
    if request.content_length is not None and request.content_length > max_bytes:
        raise BodyTooLarge(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > max_bytes:
                    raise BodyTooLarge(max_bytes)
                parts.append(chunk)
    except TimeoutError:
        raise BodyTimeout(f"The request body did not arrive within {timeout_s:g} s.") from None
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    encoding = request.headers.get("content-encoding", "identity").lower()
    return body if encoding == "identity" else _decoded(body, encoding, max_bytes)


def _decoded(body: bytes, encoding: str, max_bytes: int) -> bytes:
    window_bits = _WINDOW_BITS.get(encoding)
    if window_bits is None:
        raise BadRequest(f"Content-Encoding '{encoding[:40]}' is not supported; send the body plain, or as gzip.")
    decoder = zlib.decompressobj(window_bits)
    try:
        decoded = decoder.decompress(body, max_bytes + 1)
    except zlib.error:
        raise BadRequest(f"The request body is not valid {encoding}.") from None
    if len(decoded) > max_bytes:
        raise BodyTooLarge(max_bytes)
    if not decoder.eof or decoder.unused_data:
        raise BadRequest(f"The request body is not one complete {encoding} stream.")
    return decoded
