"""Today and this week, added up slice by slice: the same as one large query, and far fewer rows read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.accounting.entry import row_of
from gateway.accounting.ledger import INSERT
from gateway.accounting.overview import DAY_MS, LOOK_S, Overview, Overviews, Sums, last_requests
from gateway.clock import ManualClock
from gateway.record import Record
from gateway.sql import Database
from gateway.values import Caller, Cost, Decision, Target, Usage

NOW = 1_800_000_000
"""Friday 15 January 2027, 8:00 UTC, as `ManualClock` has it."""
MONDAY_MS = 1_799_625_600_000
TARGET = Target("up", "small")
HOUR = 3600.0


class Watched(Database):
    """Remembers what was asked for; reading may take time on a clock."""

    def __init__(self, url: str, clock: ManualClock) -> None:
        super().__init__(url)
        self._clock = clock
        self.asked: list[tuple[int, ...]] = []
        self.takes_s = 0.0

    async def fetch(self, statement: str, *params: Any, timeout_s: float = 5.0) -> list[tuple[Any, ...]]:
        self.asked.append(params)
        self._clock.advance(self.takes_s)
        return await super().fetch(statement, *params, timeout_s=timeout_s)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(ledger_url: str, clock: ManualClock) -> AsyncIterator[Watched]:
    async with Watched(ledger_url, clock) as database:
        await database.fetch("SELECT 1")
        yield database


_seq = iter(range(1, 1_000_000))


async def book(database: Database, *, ago_s: float, **changes: Any) -> None:
    """A row of a request that came so long ago: the cheap tier, a miss, unless `changes` say otherwise."""
    record = Record("req", "chat", NOW - ago_s, 0.0)
    fields = {
        "route": "support",
        "caller": Caller("bot"),
        "decision": Decision((TARGET,), "cheap", "classifier"),
        "target": TARGET,
        "cache": "miss",
        "status": 200,
        "usage": Usage(100, 10),
        "cost": Cost(500, "computed"),
        "saved_nanousd": {"tier": 40},
        **changes,
    }
    for name, value in fields.items():
        setattr(record, name, value)
    await database.write(*INSERT.batches([row_of(record, 1, next(_seq))]))


def total(overview: Overview) -> Sums:
    found = Sums()
    for sums in overview.week.groups.values():
        found.add(sums)
    return found


async def test_a_week_is_since_monday_and_a_day_since_midnight(database: Watched, clock: ManualClock) -> None:
    await book(database, ago_s=60)
    await book(database, ago_s=7 * HOUR, cache="hit", cost=None, saved_nanousd={"cache": 500})
    await book(database, ago_s=9 * HOUR, decision=Decision((TARGET,), "expensive", "classifier"))
    await book(
        database, ago_s=4 * 24 * HOUR, route=None, decision=None, cache=None, status=401, rejected="invalid_api_key"
    )
    await book(database, ago_s=5 * 24 * HOUR)
    overview = await Overviews(clock).look(database)
    assert overview.is_complete
    assert (overview.today.since_ms, overview.week.since_ms) == (NOW * 1000 // DAY_MS * DAY_MS, MONDAY_MS)
    assert overview.today.groups == {
        ("support", "cheap"): Sums(
            requests=2,
            cacheable=2,
            hits=1,
            input_tokens=100,
            output_tokens=10,
            cost_nanousd=500,
            saved_cache_nanousd=500,
            saved_tier_nanousd=40,
        )
    }
    assert set(overview.week.groups) == {("support", "cheap"), ("support", "expensive"), (None, None)}
    assert overview.week.groups[None, None].refused == 1
    assert (total(overview).requests, total(overview).cost_nanousd) == (4, 1500)


async def test_what_is_long_over_is_read_once(database: Watched, clock: ManualClock) -> None:
    overviews = Overviews(clock)
    await book(database, ago_s=30 * HOUR)
    await overviews.look(database)
    database.asked.clear()
    clock.advance(3)
    await book(database, ago_s=-2)
    assert total(await overviews.look(database)).requests == 2
    [(first, last)] = database.asked
    assert last - first <= 3 * 600_000


async def test_who_asks_at_the_same_time_is_told_the_same(database: Watched, clock: ManualClock) -> None:
    overviews = Overviews(clock)
    one = await overviews.look(database)
    await book(database, ago_s=0)
    assert await overviews.look(database) is one


async def test_rows_that_come_late_are_found(database: Watched, clock: ManualClock) -> None:
    overviews = Overviews(clock)
    assert total(await overviews.look(database)).requests == 0
    await book(database, ago_s=10 * 60)
    await book(database, ago_s=5 * HOUR)
    clock.advance(3)
    assert total(await overviews.look(database)).requests == 1
    clock.advance(300)
    assert total(await overviews.look(database)).requests == 2


async def test_a_large_ledger_is_read_in_several_looks_the_newest_first(database: Watched, clock: ManualClock) -> None:
    overviews = Overviews(clock)
    await book(database, ago_s=60)
    await book(database, ago_s=4 * 24 * HOUR)
    database.takes_s = LOOK_S / 2
    first = await overviews.look(database)
    assert (first.is_complete, total(first).requests) == (False, 1)
    for _ in range(200):
        clock.advance(3)
        overview = await overviews.look(database)
        if overview.is_complete:
            break
    assert (overview.is_complete, total(overview).requests) == (True, 2)


async def test_another_database_starts_afresh(database: Watched, clock: ManualClock, tmp_path: Path) -> None:
    overviews = Overviews(clock)
    await book(database, ago_s=60)
    assert total(await overviews.look(database)).requests == 1
    async with Watched(f"sqlite:///{tmp_path}/other.db", clock) as other:
        assert total(await overviews.look(other)).requests == 0


async def test_the_last_requests_are_the_newest(database: Watched) -> None:
    for number in range(5):
        await book(database, ago_s=100 - number, request_id=f"req-{number}")
    rows = await last_requests(database, 3)
    assert [row.request_id for row in rows] == ["req-4", "req-3", "req-2"]
    assert [row.price_unknown for row in rows] == [False] * 3
    assert (rows[0].route, rows[0].key, rows[0].target, rows[0].cost_nanousd, rows[0].saved_nanousd) == (
        "support",
        "bot",
        "up/small",
        500,
        40,
    )
