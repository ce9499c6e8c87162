"""Which of several processes asks the upstream, where they share a Redis.

A lookup that finds nothing leaves a marker in the entry's place, in the very command that looked, so it costs
one command whether it finds anything or not. The marker names its process; one key says for all its markers
that the process lives. Who finds a marker waits for the entry to replace it:

    marker ──► entry        a hit
           ──► nothing      the call failed, or could not be stored: go oneself
           ──► still there  after `_MOST_WAIT_S`, or its process has gone silent: go oneself, and take its place

One waits for one call only, so that a failing upstream is not asked by one process after the other. Without
the store, or with one that refuses to write (full, or a Redis before 7.0), everybody goes themselves.
"""

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.clock import Clock
from gateway.errors import StoreUnavailable

if TYPE_CHECKING:  # not everybody has a Redis
    from gateway.kv import Kv

_MAGIC = b"GWL1"
_MARKER_S = 120.0
"""A marker outlives its flight by no more than this; one that flies longer may be overtaken."""
_BEAT_S = 0.15
_ALIVE_S = 0.6
"""A process that has not said for so long that it lives is gone: killed, frozen or cut off."""
_IDLE_BEATS = 20
"""How long one without flights goes on saying so: cheaper than to start anew for every miss."""
_MOST_WAIT_S = 60.0
_FIRST_LOOK_S = 0.02
_LONGEST_LOOK_S = 0.1
"""Between two looks at another's marker: growing from the first to the longest."""
_REFUSED_S = 1.0
"""How long a store that refused a marker is only read."""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end return 0"
_TAKE = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end "
    "return 0"
)


class Leases:
    """The markers of this process in the store. Whoever is refused one goes on without."""

    def __init__(self, kv: "Kv", clock: Clock) -> None:
        from gateway.kv import Script

        self._kv = kv
        self._release = Script("cache.release", _RELEASE)
        self._take = Script("cache.take", _TAKE)
        self._clock = clock
        self._process = secrets.token_hex(8)
        self._marker = _MAGIC + self._process.encode()
        self._held: set[str] = set()
        self._unwanted: set[str] = set()
        """Markers that may stand there, and for which nothing comes."""
        self._letting_go: set[asyncio.Task[None]] = set()
        self._refused_until_s = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def claim(self, name: str) -> bytes | None:
        """What stands under `name`: an entry, a marker, or nothing; then ours does from now on, if it may."""
        if self._clock.monotonic() < self._refused_until_s:
            return await self._kv.get(name)
        try:
            found = await self._kv.get_or_set(name, self._marker, _MARKER_S)
        except asyncio.CancelledError:
            self._let_go(name)
            raise
        except StoreUnavailable as error:
            if error.may_have_run:
                self._hold(name)
            if error.may_have_run or not self._kv.is_up:
                raise
            self._refused_until_s = self._clock.monotonic() + _REFUSED_S
            return await self._kv.get(name)
        if found is None or found == self._marker:
            self._hold(name)
        return found

    def is_others(self, value: bytes) -> bool:
        """Whether `value` is the marker of another process."""
        return value.startswith(_MAGIC) and value != self._marker

    def holds(self, name: str) -> bool:
        return name in self._held

    def replaced(self, name: str) -> None:
        """The entry stands there now."""
        self._held.discard(name)

    async def release(self, name: str) -> None:
        """No entry will come of it. Where the store does not answer now, it is told when it does."""
        if name in self._held:
            self._held.discard(name)
            self._unwanted.add(name)
            await self._tidy(name)

    async def _tidy(self, name: str) -> None:
        with suppress(StoreUnavailable):
            await self._kv.run(self._release, name, self._marker)
            self._unwanted.discard(name)

    async def outwait(self, name: str, marker: bytes) -> bytes | None:
        """The entry that takes the place of another's `marker`; None if none does, and this process is to go itself."""
        alive = _alive(marker[len(_MAGIC) :].decode("ascii", "replace"))
        until_s = self._clock.monotonic() + _MOST_WAIT_S
        pause_s, silent = _FIRST_LOOK_S, 0
        try:
            while self._clock.monotonic() < until_s and silent < 2:
                await asyncio.sleep(pause_s)
                pause_s = min(1.5 * pause_s, _LONGEST_LOOK_S)
                value, sign = await asyncio.gather(self._kv.get(name), self._kv.get(alive))
                if value != marker:
                    return None if value is None or value.startswith(_MAGIC) else value
                silent = silent + 1 if sign is None else 0
            self._hold(name)
            await self._kv.run(self._take, name, marker, self._marker, round(_MARKER_S * 1000))
        except StoreUnavailable:
            pass
        except asyncio.CancelledError:
            self._let_go(name)
            raise
        return None

    async def close(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
        if self._letting_go:
            await asyncio.wait(self._letting_go)

    def _let_go(self, name: str) -> None:
        """A lookup was cancelled, and the marker may stand there: others would wait for it while this process lives."""
        self._held.add(name)
        task = asyncio.create_task(self.release(name), name="release a cache lease")
        self._letting_go.add(task)
        task.add_done_callback(self._letting_go.discard)

    def _hold(self, name: str) -> None:
        self._held.add(name)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat(), name="cache lease")

    async def _beat(self) -> None:
        idle = 0
        while idle < _IDLE_BEATS:
            idle = 0 if self._held or self._unwanted else idle + 1
            with suppress(StoreUnavailable):
                await self._kv.set(_alive(self._process), b"1", _ALIVE_S)
                for name in list(self._unwanted):
                    await self._tidy(name)
            await asyncio.sleep(_BEAT_S)


def _alive(process: str) -> str:
    return f"gw:cache:alive:{process}"
