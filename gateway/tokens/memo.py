"""Counts already made, remembered per string: system prompts, tools and histories come back with every request."""

import sys
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import orjson

KEEP_CHARS = 512
"""Longer strings are remembered by their hash."""

MAX_ENTRIES = 16_384
MAX_BYTES = 4_000_000

_ENTRY_BYTES = 150
"""One dict entry with its count, beside the string itself."""


V = TypeVar("V")


class Memo(Generic[V]):
    """String (or digest) → count, in two generations: a full young one becomes the old one, and the old one goes.

    What is asked for moves to the young one, so this forgets about as an LRU does, without an LRU's
    bookkeeping on every hit. Both generations together stay within `max_entries` and `max_bytes`.
    Threads may share one: each step is a single dict operation, and a lost race costs a recount.
    """

    def __init__(self, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._young: dict[str | bytes, V] = {}
        self._old: dict[str | bytes, V] = {}
        self._young_bytes = 0
        self._generation_entries = max_entries // 2
        self._generation_bytes = max_bytes // 2

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, text: str | bytes) -> V | None:
        key = text if len(text) <= KEEP_CHARS else _digest(text)
        count = self._young.get(key)
        if count is None and (count := self._old.pop(key, None)) is not None:
            self._insert(key, count)
        return count

    def put(self, text: str | bytes, count: V) -> None:
        self._insert(text if len(text) <= KEEP_CHARS else _digest(text), count)

    def _insert(self, key: str | bytes, count: V) -> None:
        size = sys.getsizeof(key) + _ENTRY_BYTES
        if len(self._young) >= self._generation_entries or self._young_bytes + size > self._generation_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = count
        self._young_bytes += size


def _digest(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=16).digest()


def fingerprint(*values: Any) -> bytes | None:
    """A key for JSON values; None for the few that orjson does not write (lone surrogates, 255 levels)."""
    try:
        return _digest(orjson.dumps(values))
    except TypeError:
        return None
