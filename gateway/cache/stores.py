"""Where entries are kept: in this process, or in Redis. Both forget by themselves; both may be empty at any time."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from gateway.clock import Clock

if TYPE_CHECKING:  # redis takes 0.3 s to load, and most gateways on one machine never need it
    from gateway.kv import Kv

_OVERHEAD = 250
"""Bytes an entry takes beside its name and value: the objects around them and its place in the dict
(measured with tracemalloc on CPython 3.11)."""
_MAX_BYTES = 64 << 20
_MAX_ENTRIES = 100_000


class EntryStore(Protocol):
    """Raises StoreUnavailable when it cannot tell; whoever asks goes on without the cache (fails open)."""

    @property
    def is_up(self) -> bool:
        """Whether it is worth asking."""
        ...

    async def get(self, name: str) -> bytes | None: ...

    async def set(self, name: str, value: bytes, ttl_s: float) -> None:
        """Keep `value` for at most `ttl_s` seconds."""
        ...


class MemoryStore:
    """The least recently used entries go first, once they pass `max_bytes` or `max_entries` together.

    Methods are coroutines for the protocol's sake and never suspend.
    """

    is_up = True

    def __init__(self, clock: Clock, *, max_bytes: int = _MAX_BYTES, max_entries: int = _MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Memory held, entries that have expired but were not asked for since included."""
        return self._bytes

    async def get(self, name: str) -> bytes | None:
        found = self._entries.get(name)
        if found is None:
            return None
        value, expires_s = found
        if self._clock.monotonic() >= expires_s:
            self._drop(name)
            return None
        self._entries.move_to_end(name)
        return value

    async def set(self, name: str, value: bytes, ttl_s: float) -> None:
        self._drop(name)
        size = _size(name, value)
        if size > self._max_bytes:
            return
        self._entries[name] = (value, self._clock.monotonic() + ttl_s)
        self._bytes += size
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._drop(next(iter(self._entries)))

    def _drop(self, name: str) -> None:
        found = self._entries.pop(name, None)
        if found is not None:
            self._bytes -= _size(name, found[0])


class RedisStore:
    """Expiry and eviction are the server's (`maxmemory-policy`); processes share what is stored."""

    def __init__(self, kv: "Kv") -> None:
        self._kv = kv

    @property
    def is_up(self) -> bool:
        return self._kv.is_up

    async def get(self, name: str) -> bytes | None:
        return await self._kv.get(name)

    async def set(self, name: str, value: bytes, ttl_s: float) -> None:
        await self._kv.set(name, value, ttl_s)


def _size(name: str, value: bytes) -> int:
    return len(name) + len(value) + _OVERHEAD
