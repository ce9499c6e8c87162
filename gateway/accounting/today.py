"""What calls of our own have cost today, against a budget of their own: cheap to ask, and right across processes."""

from collections.abc import Awaitable, Callable

from gateway.clock import Clock

FRESH_S = 60.0
"""How old the ledger's word may be."""
DAY_MS = 86_400_000

AskLedger = Callable[[str, int], Awaitable[int]]
"""Name, since when in milliseconds → nano-dollars by the ledger, of all processes. May raise DatabaseError."""


class SpentToday:
    """Of some names, each with a budget a day; days are UTC's."""

    def __init__(self, clock: Clock, ask: AskLedger) -> None:
        self._clock = clock
        self._ask = ask
        self._known: dict[str, tuple[float, int, int]] = {}
        """Name → when the ledger was asked (monotonic), the day that was, and nano-dollars spent on it."""

    async def of(self, name: str) -> int:
        """Nano-dollars: what the ledger says, at most `FRESH_S` old, and what this process has spent since."""
        now, day = self._clock.monotonic(), int(self._clock.wall() * 1000) // DAY_MS
        known = self._known.get(name)
        if known is None or known[1] != day or now - known[0] > FRESH_S:
            found = await self._ask(name, day * DAY_MS)
            known = self._known.get(name)  # others may have spent meanwhile
            same_day = known[2] if known is not None and known[1] == day else 0  # the ledger may lag behind
            self._known[name] = (now, day, max(found, same_day))
        return self._known[name][2]

    def add(self, name: str, nanousd: int) -> None:
        """A call that was made after it was asked whether there is something left."""
        if (known := self._known.get(name)) is not None:
            self._known[name] = (known[0], known[1], known[2] + nanousd)
