"""The ledger → what was spent and saved, by whatever an operator asks for. The database adds up, in integers."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from gateway.accounting.books import opened
from gateway.tables import ledger, ledger_writers

_OF, _BY = ledger.c, ledger_writers.c
DAY_MS = 86_400_000
SILENT_MS = 60_000
"""A writer that has not been heard of for this long, and has not signed out, is taken for dead: it says something every
ten seconds."""

DIMENSIONS: dict[str, ColumnElement[Any]] = {
    "route": _OF.route,
    "model": _OF.target,
    "tier": _OF.tier,
    "key": _OF.key_name,
    "team": _OF.team,
    "endpoint": _OF.endpoint,
    "day": _OF.at_ms // DAY_MS,
    "prompt": _OF.prompt,
    "prompt_version": _OF.prompt_version,
}


@dataclass(slots=True)
class Figures:
    """What requests came to; money in nano-dollars, tokens those that were paid for."""

    requests: int = 0
    hits: int = 0
    """Answered from the response cache, fresh or not, or by another's call under way."""
    refused: int = 0
    failed: int = 0
    """Ended with a status from 500 on."""
    paid: int = 0
    """Calls that had usage: those that a provider's bill counts."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    """Part of `input_tokens`."""
    output_tokens: int = 0
    cost_nanousd: int = 0
    reported_nanousd: int = 0
    computed_nanousd: int = 0
    estimated_nanousd: int = 0
    """These three make up the cost."""
    saved_cache_nanousd: int = 0
    saved_coalesced_nanousd: int = 0
    saved_tier_nanousd: int = 0
    saved_trim_nanousd: int = 0
    unpriced: int = 0
    """Calls that cost something nobody knows; they are in no sum of dollars."""
    lost: int = 0
    """Requests that ended with their process and were charged to a budget; that is in the cost, as estimated."""

    @property
    def saved_nanousd(self) -> int:
        return (
            self.saved_cache_nanousd + self.saved_coalesced_nanousd + self.saved_tier_nanousd + self.saved_trim_nanousd
        )

    @property
    def without_nanousd(self) -> int:
        """What the same requests would have cost without the gateway."""
        return self.cost_nanousd + self.saved_nanousd


@dataclass(frozen=True, slots=True)
class Line:
    """One group: its values of the dimensions asked for, None where a request had none."""

    group: tuple[str | None, ...]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Gap:
    """A process whose last rows may be missing: it ended without signing out, or dropped some."""

    host: str
    pid: int
    seen_ms: int
    is_dead: bool
    dropped: int


@dataclass(frozen=True, slots=True)
class Report:
    by: tuple[str, ...]
    since_ms: int
    until_ms: int
    lines: tuple[Line, ...]
    """Most expensive first, or by day."""
    gaps: tuple[Gap, ...]

    @property
    def total(self) -> Figures:
        return total(line.figures for line in self.lines)


def total(rows: Iterable[Figures]) -> Figures:
    rows = list(rows)
    return Figures(*(sum(getattr(row, field.name) for row in rows) for field in fields(Figures)))


async def report(url: str, by: Sequence[str], *, since_ms: int, until_ms: int) -> Report:
    """`by`: names of `DIMENSIONS`. Raises DatabaseUnavailable."""
    heard_ms = min(until_ms, int(time.time() * 1000)) - SILENT_MS
    async with opened(url) as connection:
        rows = (await connection.execute(_query(by, since_ms, until_ms))).all()
        gaps = (await connection.execute(_gaps(since_ms, until_ms, heard_ms))).all()
    size = len(by)
    lines = [Line(_group(by, row[:size]), Figures(*(int(value or 0) for value in row[size:]))) for row in rows]
    if "day" in by:
        lines.sort(key=lambda line: tuple(value or "" for value in line.group))
    else:
        lines.sort(key=lambda line: (-line.figures.without_nanousd, -line.figures.requests, str(line.group)))
    return Report(tuple(by), since_ms, until_ms, tuple(lines), tuple(_gap(row, heard_ms) for row in gaps))


def _group(by: Sequence[str], values: Sequence[Any]) -> tuple[str | None, ...]:
    return tuple(_name(name, value) for name, value in zip(by, values, strict=True))


def _name(dimension: str, value: Any) -> str | None:
    if value is None:
        return None
    return day_of(int(value)) if dimension == "day" else str(value)


def day_of(number: int) -> str:
    """`2026-11-22` for the days since 1970, in UTC."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number):%Y-%m-%d}"


def _query(by: Sequence[str], since_ms: int, until_ms: int) -> Select[Any]:
    dimensions = [DIMENSIONS[name] for name in by]
    is_served_again = _OF.cache.in_(("hit", "coalesced"))
    is_paid = or_(_OF.cache.is_(None), ~is_served_again)

    def count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.sum(case((condition, 1), else_=0))

    def paid(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.sum(case((is_paid, column), else_=0))

    def from_source(source: str) -> ColumnElement[Any]:
        return func.sum(case((_OF.cost_source == source, _OF.cost_nanousd), else_=0))

    figures: dict[str, ColumnElement[Any]] = {
        "requests": count(~_OF.is_lost),
        "hits": count(or_(is_served_again, _OF.cache == "stale")),
        "refused": count(_OF.rejected.is_not(None)),
        "failed": count(and_(_OF.status >= 500, _OF.rejected.is_(None))),
        "paid": paid(case((_OF.input_tokens.is_not(None), 1), else_=0)),
        "input_tokens": paid(_OF.input_tokens),
        "cached_input_tokens": paid(_OF.cached_input_tokens),
        "output_tokens": paid(_OF.output_tokens),
        "cost_nanousd": func.sum(_OF.cost_nanousd),
        "reported_nanousd": from_source("reported"),
        "computed_nanousd": from_source("computed"),
        "estimated_nanousd": from_source("estimated"),
        "saved_cache_nanousd": func.sum(_OF.saved_cache_nanousd),
        "saved_coalesced_nanousd": func.sum(_OF.saved_coalesced_nanousd),
        "saved_tier_nanousd": func.sum(_OF.saved_tier_nanousd),
        "saved_trim_nanousd": func.sum(_OF.saved_trim_nanousd),
        "unpriced": count(_OF.price_unknown),
        "lost": func.sum(case((_OF.is_lost, _OF.attempts), else_=0)),
    }
    assert list(figures) == [field.name for field in fields(Figures)], "rows are read by position"
    query = select(*dimensions, *figures.values()).where(_OF.at_ms >= since_ms, _OF.at_ms < until_ms)
    return query.group_by(*dimensions)


def _gaps(since_ms: int, until_ms: int, heard_ms: int) -> Select[Any]:
    """`heard_ms`: who lives has been heard of since."""
    is_silent = and_(_BY.closed_ms.is_(None), _BY.seen_ms < heard_ms)
    within = and_(_BY.seen_ms >= since_ms, _BY.started_ms < until_ms)
    columns = (_BY.host, _BY.pid, _BY.seen_ms, _BY.closed_ms, _BY.dropped)
    return select(*columns).where(within, or_(is_silent, _BY.dropped > 0)).order_by(_BY.seen_ms)


def _gap(row: Any, heard_ms: int) -> Gap:
    is_dead = row.closed_ms is None and row.seen_ms < heard_ms
    return Gap(row.host, row.pid, row.seen_ms, is_dead, row.dropped)
