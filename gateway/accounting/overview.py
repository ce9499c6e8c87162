"""Today and this week, by the ledger, for a page that asks every few seconds however large the ledger is.

Sums are kept for slices of ten minutes. One that ended long ago is read once; the last few are read at every look. So
a look costs what came in lately, and the first look at a large ledger is spread over several, the newest slices
first: until it is through, `is_complete` is false.

Weeks begin on Monday, days at midnight, both in UTC.
"""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

from gateway.clock import Clock
from gateway.sql import Database

SLICE_MS = 600_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
_MONDAY_MS = 4 * DAY_MS
"""1970 began on a Thursday."""
SHARED_S = 2.0
"""How long a look serves others who ask."""
LOOK_S = 3.0
"""What a look may spend on slices it has not read; the last ones, and one query, it always reads."""
_AT_ONCE = 6
"""Slices of one query."""
_ALWAYS_MS = 15 * 60_000
"""Rows come half a second late as a rule, so what ended this long ago is read again only now and then,"""
_SOMETIMES_MS = 6 * 3_600_000
"""and after that no more: a database that was away for longer may have more rows than are shown."""
_SOMETIMES_S = 300.0

_SUMS = (
    "SELECT at_ms / 600000, route, tier, SUM(CASE WHEN is_lost THEN 0 ELSE 1 END),"
    " SUM(CASE WHEN cache IS NULL THEN 0 ELSE 1 END),"
    " SUM(CASE WHEN cache IN ('hit', 'coalesced', 'stale') THEN 1 ELSE 0 END),"
    " SUM(CASE WHEN rejected IS NULL THEN 0 ELSE 1 END),"
    " SUM(CASE WHEN rejected IS NULL AND status >= 500 THEN 1 ELSE 0 END),"
    " COALESCE(SUM(CASE WHEN cache IS NULL OR cache IN ('miss', 'bypass') THEN input_tokens END), 0),"
    " COALESCE(SUM(CASE WHEN cache IS NULL OR cache IN ('miss', 'bypass') THEN output_tokens END), 0),"
    " COALESCE(SUM(cost_nanousd), 0), SUM(saved_cache_nanousd), SUM(saved_coalesced_nanousd),"
    " SUM(saved_tier_nanousd), SUM(saved_trim_nanousd)"
    " FROM ledger WHERE at_ms >= $1 AND at_ms < $2 GROUP BY 1, 2, 3"
)
_LAST = (
    "SELECT at_ms, request_id, endpoint, route, key_name, tier, target, cache, status, rejected, input_tokens,"
    " output_tokens, cost_nanousd,"
    " saved_cache_nanousd + saved_coalesced_nanousd + saved_tier_nanousd + saved_trim_nanousd, duration_us,"
    " price_unknown"
    " FROM ledger ORDER BY at_ms DESC, writer DESC, seq DESC LIMIT $1"
)


@dataclass(slots=True)
class Sums:
    """Of some requests; money in nano-dollars, tokens those that were paid for."""

    requests: int = 0
    cacheable: int = 0
    """On routes with a cache."""
    hits: int = 0
    """Answered from it, or by another's call under way."""
    refused: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    saved_cache_nanousd: int = 0
    saved_coalesced_nanousd: int = 0
    saved_tier_nanousd: int = 0
    saved_trim_nanousd: int = 0

    def add(self, other: "Sums") -> None:
        for name in _NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_NAMES = tuple(field.name for field in fields(Sums))
Group = tuple[str | None, str | None]
"""Route and tier; None for requests that did not get that far."""


@dataclass(frozen=True, slots=True)
class Period:
    since_ms: int
    groups: dict[Group, Sums]


@dataclass(frozen=True, slots=True)
class Overview:
    at_ms: int
    today: Period
    week: Period
    is_complete: bool


@dataclass(frozen=True, slots=True)
class _Slice:
    read_ms: int
    groups: dict[Group, Sums]


class Overviews:
    """Keeps what was read, some hundred numbers a slice, a thousand slices at most; forgets it for another database."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._of: Database | None = None
        self._slices: dict[int, _Slice] = {}
        self._last: Overview | None = None
        self._last_s = -math.inf

    async def look(self, database: Database) -> Overview:
        """Raises DatabaseUnavailable."""
        async with self._turn:
            if database is not self._of:
                self._of, self._last = database, None
                self._slices.clear()
            if self._last is None or self._clock.monotonic() - self._last_s > SHARED_S:
                self._last = await self._read(database)
                self._last_s = self._clock.monotonic()
            return self._last

    async def _read(self, database: Database) -> Overview:
        now_ms = int(self._clock.wall() * 1000)
        week_ms = (now_ms - _MONDAY_MS) // WEEK_MS * WEEK_MS + _MONDAY_MS
        first, last = week_ms // SLICE_MS, now_ms // SLICE_MS
        self._slices = {number: kept for number, kept in self._slices.items() if number >= first}
        until_s = self._clock.monotonic() + LOOK_S
        wanted = [number for number in range(last, first - 1, -1) if self._is_wanted(number, now_ms)]
        while wanted:
            run = _run_of(wanted)
            await self._read_slices(database, run[-1], run[0], now_ms)
            del wanted[: len(run)]
            if self._clock.monotonic() > until_s:
                break
        day_ms = now_ms // DAY_MS * DAY_MS
        return Overview(
            now_ms,
            Period(day_ms, self._added_up(range(day_ms // SLICE_MS, last + 1))),
            Period(week_ms, self._added_up(range(first, last + 1))),
            is_complete=all(number in self._slices for number in range(first, last + 1)),
        )

    def _is_wanted(self, number: int, now_ms: int) -> bool:
        kept = self._slices.get(number)
        if kept is None:
            return True
        ended_ms = (number + 1) * SLICE_MS
        if kept.read_ms - ended_ms < _ALWAYS_MS:
            return True
        return kept.read_ms - ended_ms < _SOMETIMES_MS and now_ms - kept.read_ms > _SOMETIMES_S * 1000

    async def _read_slices(self, database: Database, first: int, last: int, now_ms: int) -> None:
        rows = await database.fetch(_SUMS, first * SLICE_MS, (last + 1) * SLICE_MS)
        read: dict[int, dict[Group, Sums]] = {number: {} for number in range(first, last + 1)}
        for number, route, tier, *sums in rows:
            read[int(number)][route, tier] = Sums(*map(int, sums))
        self._slices.update({number: _Slice(now_ms, groups) for number, groups in read.items()})

    def _added_up(self, numbers: Iterable[int]) -> dict[Group, Sums]:
        total: dict[Group, Sums] = {}
        for number in numbers:
            if (kept := self._slices.get(number)) is not None:
                for group, sums in kept.groups.items():
                    total.setdefault(group, Sums()).add(sums)
        return total


def _run_of(numbers: list[int]) -> list[int]:
    """The first of `numbers`, which fall, as long as they follow one another."""
    size = 1
    while size < min(len(numbers), _AT_ONCE) and numbers[size] == numbers[size - 1] - 1:
        size += 1
    return numbers[:size]


@dataclass(frozen=True, slots=True)
class Row:
    """One request, as its row has it."""

    at_ms: int
    request_id: str
    endpoint: str
    route: str | None
    key: str | None
    tier: str | None
    target: str | None
    cache: str | None
    status: int
    rejected: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_nanousd: int | None
    saved_nanousd: int
    duration_us: int
    price_unknown: bool
    """It cost something that is in no sum."""


async def last_requests(database: Database, count: int) -> list[Row]:
    """The newest first. Raises DatabaseUnavailable."""
    rows = await database.fetch(_LAST, count)
    return [Row(*(*row[:-1], bool(row[-1]))) for row in rows]
