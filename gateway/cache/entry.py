"""A stored answer, and its form in the store.

    magic "GWC" · version · flags · meta length · body length · CRC-32 ‖ meta (JSON) ‖ body

The body is compressed from `_COMPRESS_FROM` bytes on where that helps. Whatever cannot be read (another
version's, damaged, not ours) decodes to None, a miss: the store is shared, and an entry is never
worth an error.
"""

import struct
import sys
from dataclasses import fields
from operator import attrgetter
from zlib import crc32

import orjson

from gateway.value import value
from gateway.values import Usage

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_VERSION = 2
_HEADER = struct.Struct(">3sBBHII")
_MAGIC = b"GWC"
_RAW, _ZSTD = 0, 1
_COMPRESS_FROM = 8192
"""Bytes. Most answers are shorter, and unpacking would double what serving one from memory costs."""
_LEVEL = 1
_MAX_BODY = 1 << 26
"""Bytes a body may unpack to: the largest `max_entry_kb`."""


@value
class Entry:
    """A complete answer in its non-streamed form."""

    body: bytes
    target: str
    """Which target made it."""
    usage: Usage | None
    """As reported when it was made."""
    cost_nanousd: int
    """What it cost then, and saves each time it is served."""
    stored_at: float
    """Unix seconds."""
    pace: tuple[int, ...] = ()
    """Milliseconds until each of so many equal parts of its stream had come; empty where it was none, or that is not
    wanted."""


@value
class Stored:
    """An entry as it is kept."""

    entry: Entry
    expires_at: float
    """When it ends to be fresh, in Unix seconds."""
    asked_ms: int = 0
    """When its upstream call began, by the clock that purges go by."""


_counts = attrgetter(*(field.name for field in fields(Usage)))


def encode(stored: Stored) -> bytes:
    entry, usage = stored.entry, stored.entry.usage
    counts = usage and _counts(usage)
    fields = (entry.target, counts, entry.cost_nanousd, entry.stored_at, stored.expires_at, stored.asked_ms)
    meta = orjson.dumps((*fields, entry.pace) if entry.pace else fields)
    body, flags = entry.body, _RAW
    if len(body) >= _COMPRESS_FROM:
        packed = zstd.compress(body, _LEVEL)
        if len(packed) < len(body):
            body, flags = packed, _ZSTD
    header = _HEADER.pack(_MAGIC, _VERSION, flags, len(meta), len(entry.body), crc32(body, crc32(meta)))
    return b"".join((header, meta, body))


def decode(value: bytes) -> Stored | None:
    """What `encode` made of an entry; None for anything else. Never unpacks more than it was told to expect."""
    try:
        magic, version, flags, meta_length, body_length, checksum = _HEADER.unpack_from(value)
        if (magic, version) != (_MAGIC, _VERSION) or body_length > _MAX_BODY:
            return None
        body_start = _HEADER.size + meta_length
        meta, body = value[_HEADER.size : body_start], value[body_start:]
        if flags not in (_RAW, _ZSTD) or crc32(body, crc32(meta)) != checksum:
            return None
        if flags == _ZSTD:
            unpacker = zstd.ZstdDecompressor()
            body = unpacker.decompress(body, max_length=body_length)
            if not unpacker.eof:
                return None
        if len(body) != body_length:
            return None
        target, counts, cost_nanousd, stored_at, expires_at, asked_ms, *more = orjson.loads(meta)
        usage = None if counts is None else Usage(*counts)
        pace = tuple(map(int, more[0])) if more else ()
        return Stored(Entry(body, target, usage, cost_nanousd, stored_at, pace), expires_at, asked_ms)
    except (struct.error, zstd.ZstdError, ValueError, TypeError):
        return None
