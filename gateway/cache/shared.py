"""The level that processes share: entries in Redis, who asks for what is not there, and what was purged or replaced.

    gw:cache:{route}:{scope}:{digest}    an entry, or the marker of the process that is getting it (`lease.py`)
    gw:cache:alive:{process}             it lives
    gw:cache:log                         a stream: what was purged and replaced, in the order it happened

Every process reads the log a few times a second and drops from its own level what stands there. While it
cannot, its own level is off: nothing is served that might have been purged. Polling loses no message, and
two commands a second are cheaper than watching over a subscription.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.cache.key import PREFIX
from gateway.cache.lease import Leases
from gateway.clock import Clock
from gateway.errors import StoreUnavailable

if TYPE_CHECKING:  # not everybody has a Redis
    from gateway.kv import Kv

_LOG = "gw:cache:log"
_BEGINNING = "0-0"
_POLL_S = 0.3
_LOG_LENGTH = 4096
"""Of a process that is further behind everything is dropped."""
_SWEPT_AT_ONCE = 1000

_APPEND = (
    "local id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', 'what', ARGV[2]) "
    "redis.call('PEXPIRE', KEYS[1], 3600000) return id"
)
_READ = (
    "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
    "return {now, redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+')}"
)
_SWEEP = (  # what a scan finds is on this server, though in a cluster not in one slot
    "#!lua flags=allow-cross-slot-keys\nlocal found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3]) "
    "for _, name in ipairs(found[2]) do redis.call('UNLINK', name) end return {found[1], #found[2]}"
)


class SharedStore:
    """Raises StoreUnavailable where it cannot tell; whoever asks goes on without it (fails open)."""

    def __init__(self, kv: "Kv", clock: Clock) -> None:
        from gateway.kv import Script

        self._kv = kv
        self._append = Script("cache.tell", _APPEND)
        self._read = Script("cache.hear", _READ)
        self._sweep = Script("cache.sweep", _SWEEP)
        self.leases = Leases(kv, clock)
        self._heard_at = 0
        """Under which of the store's connections the log was read last; 0: it could not be."""
        self._last = _BEGINNING
        self._polling: asyncio.Task[None] | None = None

    async def open(self, *, on_news: Callable[[str, int], None], on_gap: Callable[[int], None]) -> None:
        """`on_news` is told what comes into the log, and when; `on_gap` that something may have been missed before now
        (in the store's milliseconds)."""
        self._on_news, self._on_gap = on_news, on_gap
        with suppress(StoreUnavailable):
            await self._poll()
        self._polling = asyncio.create_task(self._poll_on(), name="cache log")

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        await self.leases.close()

    @property
    def is_up(self) -> bool:
        return self._kv.is_up

    @property
    def is_heard(self) -> bool:
        """Whether this process knows of everything that was purged or replaced, but for the last moments."""
        return self._kv.is_up and self._heard_at == self._kv.times_up

    async def get(self, name: str) -> bytes | None:
        return await self._kv.get(name)

    async def set(self, name: str, value: bytes, ttl_s: float) -> None:
        try:
            await self._kv.set(name, value, ttl_s)
        except StoreUnavailable:
            await self.leases.release(name)
            raise
        self.leases.replaced(name)

    async def tell(self, what: str) -> None:
        """Write into the log what all processes must know."""
        await self._kv.run(self._append, _LOG, _LOG_LENGTH, what)

    async def sweep(self, pattern: str) -> int:
        """Delete all entries of `pattern`; how many there were. For a background task: it takes what it takes."""
        return sum([await self._sweep_one(server, pattern) for server in self._kv.servers])

    async def _sweep_one(self, server: "Kv", pattern: str) -> int:
        cursor, swept = "0", 0
        while True:
            answer = await server.run_here(self._sweep, cursor, f"{PREFIX}{pattern}:*", _SWEPT_AT_ONCE)
            assert isinstance(answer, list)
            cursor = _text(answer[0])
            swept += int(answer[1])
            if cursor == "0":
                return swept
            await asyncio.sleep(0)

    # ------------------------------------------------------------------ the log

    async def _poll_on(self) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                await self._poll()
            except StoreUnavailable:
                self._heard_at = 0

    async def _poll(self) -> None:
        connection = self._kv.times_up
        if self._heard_at != connection:
            self._last = _BEGINNING
        answer = await self._kv.run(self._read, _LOG, self._last)
        assert isinstance(answer, list)
        now_ms, items = int(answer[0]), answer[1]
        if self._heard_at != connection or len(items) >= _LOG_LENGTH:
            self._on_gap(now_ms)
        for identity, fields in items:
            self._last = _text(identity)
            self._on_news(_text(fields[1]), _ms(self._last))
        self._heard_at = connection


def _ms(identity: str) -> int:
    return int(identity.partition("-")[0])


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
