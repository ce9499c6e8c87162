"""What was spent today: by the ledger now and then, by this process at once, and from nothing at midnight."""

from gateway.accounting.today import DAY_MS, FRESH_S, SpentToday
from gateway.clock import ManualClock


class Ledger:
    def __init__(self) -> None:
        self.nanousd = 100
        self.asked: list[tuple[str, int]] = []

    async def ask(self, name: str, since_ms: int) -> int:
        self.asked.append((name, since_ms))
        return self.nanousd


async def test_the_ledger_is_asked_now_and_then_and_this_process_is_known_at_once() -> None:
    clock, ledger = ManualClock(), Ledger()
    spent = SpentToday(clock, ledger.ask)
    spent.add("a", 5)  # before anybody asked: the ledger will have it
    assert await spent.of("a") == 100
    spent.add("a", 7)
    assert await spent.of("a") == 107
    assert ledger.asked == [("a", 1_800_000_000_000 // DAY_MS * DAY_MS)]
    clock.advance(FRESH_S + 1)
    ledger.nanousd = 150  # others spend, too
    assert await spent.of("a") == 150


async def test_a_ledger_that_lags_behind_gives_nothing_back() -> None:
    clock, ledger = ManualClock(), Ledger()
    spent = SpentToday(clock, ledger.ask)
    await spent.of("a")
    spent.add("a", 70)
    clock.advance(FRESH_S + 1)
    assert await spent.of("a") == 170


async def test_each_day_begins_with_nothing() -> None:
    clock, ledger = ManualClock(), Ledger()
    spent = SpentToday(clock, ledger.ask)
    await spent.of("a")
    spent.add("a", 70)
    clock.advance(86_400)
    ledger.nanousd = 0
    assert await spent.of("a") == 0
