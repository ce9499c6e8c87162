"""What happens to grants behind the requests' backs: they are settled, renewed, and swept up where nobody does.

A request only notes what it used and goes; two tasks of this process carry it to the store. So nothing
waits for a settlement, and none is lost when a request is cancelled or the store is away for a while.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.admission.plan import Ceiling
from gateway.admission.stores import AdmissionStore, Closing, Lost
from gateway.errors import StoreUnavailable
from gateway.values import NANO

log = logging.getLogger(__name__)

BEATS = 4
"""In a lease. The store is told of three of them, so that with the sweep of the next beat a lost grant is back
within the whole lease."""
_AT_ONCE = 100
"""Grants settled or renewed by one run of a script: about a millisecond of the server's time."""
_MOST_WAITING = 100_000
"""Settlements kept for a store that is away, some 30 MB. What is dropped beyond it is charged when its lease ends."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_LAST_WORDS_S = 2.0
"""How long a process that stops goes on trying to settle."""


class Grant:
    """What a request holds until it is settled. Made by `Admission.admit`; `id` is empty where nothing is held."""

    __slots__ = ("_end", "_look", "completion_tokens", "id", "nanousd", "tokens")

    def __init__(
        self,
        name: str,
        end: "Callable[[Grant], None] | None" = None,
        *,
        completion_tokens: int | None = None,
    ) -> None:
        self.id = name
        self.completion_tokens = completion_tokens
        """Reserved beside the prompt, over all choices; None where no budget or rate counts tokens."""
        self.tokens = 0
        self.nanousd = 0
        self._end = end
        self._look: Callable[[], tuple[int, int]] | None = None

    def follow(self, look: Callable[[], tuple[int, int]]) -> None:
        """Have `look` say what was used so far, tokens and nano-dollars with the prompt's, whenever the lease is
        renewed."""
        self._look = look

    def look(self) -> tuple[int, int]:
        """What was used so far, as far as it is known."""
        if self._look is not None:
            self.report(*self._look())
        return self.tokens, self.nanousd

    def report(self, tokens: int, nanousd: int) -> None:
        """What was used so far, the prompt included: charged if the request ends without `settle`."""
        if self._end is not None:
            self.tokens, self.nanousd = max(self.tokens, tokens), max(self.nanousd, nanousd)

    def settle(self, tokens: int, nanousd: int) -> None:
        """What was used in all; the rest comes back. The first call counts, and never waits."""
        if self._end is not None:
            self.tokens, self.nanousd = tokens, nanousd
            self.end()

    def end(self) -> None:
        """Settle with what was reported, unless that is done."""
        end, self._end = self._end, None
        if end is not None:
            end(self)


class Keeper:
    """The open grants of this process and its unfinished settlements. `ceilings` says which budgets there are."""

    def __init__(self, store: AdmissionStore, ceilings: Callable[[], Sequence[Ceiling]], *, lease_s: float) -> None:
        self._store = store
        self._ceilings = ceilings
        self.beat_ms = max(1, round(lease_s * 1000 / BEATS))
        self.lease_ms = self.beat_ms * (BEATS - 1)
        self.open: dict[str, Grant] = {}
        self.levels: dict[str, tuple[int, int]] = {}
        """Account → what was settled and reserved when last heard of, and when that was, in milliseconds."""
        self.lost = Lost()
        """Leases that ended unrenewed, of whatever process, as far as this one found them."""
        self.dropped = 0
        """Settlements that were given up."""
        self._waiting: deque[Closing] = deque()
        self._has_work = asyncio.Event()
        self._has_tried = asyncio.Event()
        self._taken_in = 0
        self._dealt_with = 0
        self._failures = 0
        self._epoch: int | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin with it, unless that is done."""
        self._tasks = self._tasks or [
            asyncio.create_task(self._settle_as_they_come(), name="admission settlements"),
            asyncio.create_task(self._beat_on(), name="admission leases"),
        ]

    async def close(self) -> None:
        """Settle what can be, and stop."""
        if not self._tasks:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                while self._dealt_with < self._taken_in:
                    await self._has_tried.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        if left := self._taken_in - self._dealt_with:
            log.warning("admission: %d requests could not be settled; their leases end by themselves", left)

    # ------------------------------------------------------------------ settlements

    def settle(self, closing: Closing) -> None:
        """Have `closing` settled soon, and tried again until it is."""
        self.open.pop(closing.id, None)
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self._dealt_with += 1
            self.dropped += 1
        self._waiting.append(closing)
        self._taken_in += 1
        self._has_work.set()

    async def catch_up(self) -> bool:
        """Wait until what is to be settled now has been tried; False when there was nothing to wait for."""
        target, failures = self._taken_in, self._failures
        if self._dealt_with >= target:
            return False
        while self._dealt_with < target and self._failures == failures:
            await self._has_tried.wait()
        return True

    async def _settle_as_they_come(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            await self._has_work.wait()
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            try:
                await self._store.settle(batch)
            except StoreUnavailable:
                self._waiting.extendleft(reversed(batch))
                self._failures += 1
                self._tell()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            except Exception:  # this task must go on; what it held is charged when the leases end
                log.exception("admission: %d requests could not be settled", len(batch))
            pause_s = _FIRST_PAUSE_S
            self._dealt_with += len(batch)
            if not self._waiting:
                self._has_work.clear()
            self._tell()

    def _tell(self) -> None:
        self._has_tried.set()
        self._has_tried.clear()

    # ------------------------------------------------------------------ leases

    async def _beat_on(self) -> None:
        try:
            if warning := await self._store.warning():
                log.warning("admission: %s", warning)
        except StoreUnavailable:
            pass  # it is said elsewhere that the store is away
        while True:
            try:
                await self.beat()
            except StoreUnavailable as error:
                log.debug("admission: leases were not renewed: %s", error)
            except Exception:
                log.exception("admission: leases were not renewed")
            await asyncio.sleep(self.beat_ms / 1000)

    async def beat(self) -> None:
        """Renew what is open here, end what nobody renews, look where the budgets stand. Raises StoreUnavailable."""
        uses = []
        for grant in [*self.open.values()]:
            uses.append((grant.id, *grant.look()))
            await asyncio.sleep(0)  # a stream may have much to count
        for at in range(0, len(uses), _AT_ONCE):
            gone = await self._store.renew(uses[at : at + _AT_ONCE], self.lease_ms)
            if still_open := [name for name in gone if self.open.pop(name, None)]:
                log.warning("admission: %d open requests lost their lease: they could not be renewed", len(still_open))
        swept = await self._store.sweep(self.beat_ms)
        if self._epoch is None and swept.epoch:
            self._epoch = swept.epoch
        elif swept.epoch != self._epoch:
            await self.restore(swept.epoch)
        if (lost := swept.lost).grants:
            log.warning(
                "admission: %d requests were lost with their process; they were charged %d tokens and $%.6f",
                *(lost.grants, lost.tokens, lost.nanousd / NANO),
            )
            self.lost += lost
        await self._look()

    async def restore(self, epoch: int = 0) -> None:
        """Tell a store that is new, or was emptied, what was known before its `epoch`; 0: it has none yet.

        Processes do not add up: each says where an account must stand at least.
        """
        known = {name: level for name, level in self.levels.items() if not epoch or level[1] < epoch}
        if self._epoch is not None:
            log.warning("admission: the store lost what it held; it is told of %d budgets", len(known))
        self._epoch = await self._store.restore(known)

    async def _look(self) -> None:
        known = [ceiling.account for ceiling in self._ceilings()]
        for at in range(0, len(known), _AT_ONCE):
            accounts = known[at : at + _AT_ONCE]
            now_ms, balances = await self._store.read(accounts)
            for account, balance in zip(accounts, balances, strict=True):
                self.levels[account.name] = (balance.settled + balance.reserved, now_ms)
