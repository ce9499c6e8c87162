"""Content codings of request bodies (RFC 9110, 8.4): undone, and bounded while they are.

A few kilobytes can decode to gigabytes, so no decoder here is ever asked for more than the limit
and one byte.
"""

import sys
import zlib
from collections.abc import Callable

import brotli

from gateway.errors import BadRequest, BodyTooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MOST_CODINGS = 3
"""Applied one on another; nobody needs two."""


class Incomplete(ValueError):
    """The data is not one whole stream of its coding."""


def decode(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """`body` without the codings of its `Content-Encoding` header; BodyTooLarge beyond `max_bytes`.

    BadRequest for an unknown coding and for data that is not one whole stream of it.
    """
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    if len(names) > _MOST_CODINGS:
        raise BadRequest("The request body has too many content codings.")
    for name in reversed(names):
        if name == "identity":
            continue
        decoder = _DECODERS.get(name)
        if decoder is None:
            known = ", ".join(_DECODERS)
            raise BadRequest(f"Content-Encoding '{name[:40]}' is not supported; send the body plain, or as {known}.")
        body = _bounded(decoder, name, body, max_bytes)
    return body


def _bounded(decoder: Callable[[bytes, int], bytes], name: str, body: bytes, max_bytes: int) -> bytes:
    try:
        decoded = decoder(body, max_bytes + 1)
    except (zlib.error, brotli.error, zstd.ZstdError, EOFError, Incomplete):
        raise BadRequest(f"The request body is not one whole {name} stream.") from None
    if len(decoded) > max_bytes:
        raise BodyTooLarge(max_bytes)
    return decoded


def _zlib(body: bytes, limit: int, window_bits: int) -> bytes:
    decoder = zlib.decompressobj(window_bits)
    decoded = decoder.decompress(body, limit)
    if len(decoded) < limit and (not decoder.eof or decoder.unused_data):
        raise Incomplete
    return decoded


def _gzip(body: bytes, limit: int) -> bytes:
    return _zlib(body, limit, 16 + zlib.MAX_WBITS)


def _deflate(body: bytes, limit: int) -> bytes:
    return _zlib(body, limit, zlib.MAX_WBITS)  # what HTTP calls deflate is the zlib format


def _brotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    parts = [decoder.process(body, output_buffer_limit=limit)]
    size = len(parts[0])
    while size < limit and not decoder.is_finished() and not decoder.can_accept_more_data():
        parts.append(decoder.process(b"", output_buffer_limit=limit - size))
        size += len(parts[-1])
    if size < limit and not decoder.is_finished():
        raise Incomplete
    return b"".join(parts)


def _zstd(body: bytes, limit: int) -> bytes:
    decoder = zstd.ZstdDecompressor()
    decoded = decoder.decompress(body, limit)
    if len(decoded) < limit and (not decoder.eof or decoder.unused_data):
        raise Incomplete
    return decoded


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
