"""Reading a request's body: whole, bounded in size and time, and decoded."""

import asyncio

from aiohttp import web

from gateway.errors import BodyTimeout, BodyTooLarge
from gateway.wire.encodings import decode


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
        raise BodyTimeout(timeout_s) from None
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    encoding = request.headers.get("content-encoding")
    return body if encoding is None else decode(body, encoding, max_bytes=max_bytes)
