"""What was spent, by the ledger: for budgets that are kept in memory and have to outlive a restart, and for operators.

Over the bare driver, for processes that serve; `report.py` knows more, and loads SQLAlchemy for it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.sql import Database

_ALL = (
    "SELECT COALESCE(SUM(cost_nanousd), 0), COALESCE(SUM(input_tokens + output_tokens), 0) FROM ledger"
    " WHERE at_ms >= $1 AND (cache IS NULL OR cache IN ('miss', 'bypass'))"
)
"""Hits and followers of another's call used nothing, whatever their rows say of the answer."""
_OF = {
    "key": _ALL + " AND key_name = $2",
    "team": _ALL + " AND team = $2",
    "route": _ALL + " AND route = $2",
}
_READ_S = 10.0
"""One sum, over a month of a laptop's requests."""


class Spent(NamedTuple):
    nanousd: int
    tokens: int


async def spent_since(database: Database, since_ms: int, kind: str, names: Iterable[str]) -> Spent:
    """By all `names` together, which are of a `kind`: key, team, route; or `gateway`, for all there is.

    Raises DatabaseUnavailable.
    """
    if kind == "gateway":
        rows = await database.fetch(_ALL, since_ms, timeout_s=_READ_S)
    else:
        found = [await database.fetch(_OF[kind], since_ms, name, timeout_s=_READ_S) for name in names]
        rows = [row for some in found for row in some]
    return Spent(sum(int(row[0]) for row in rows), sum(int(row[1]) for row in rows))


GROUPS = {
    "route": "route",
    "key": "key_name",
    "team": "team",
    "tier": "tier",
    "target": "target",
    "day": "at_ms / 86400000",
}
"""What spending can be told by, and the column it stands in."""
MOST_GROUPS = 1000
_PAID = "(cache IS NULL OR cache IN ('miss', 'bypass'))"
_BY = (
    "SELECT {column}, COUNT(*), COALESCE(SUM(CASE WHEN {paid} THEN input_tokens END), 0),"
    " COALESCE(SUM(CASE WHEN {paid} THEN output_tokens END), 0), COALESCE(SUM(cost_nanousd), 0),"
    " COALESCE(SUM(saved_cache_nanousd + saved_coalesced_nanousd + saved_tier_nanousd + saved_trim_nanousd), 0)"
    " FROM ledger WHERE at_ms >= $1 AND at_ms < $2 GROUP BY 1 ORDER BY 5 DESC LIMIT {most}"
)
_STATEMENTS = {by: _BY.format(column=column, paid=_PAID, most=MOST_GROUPS) for by, column in GROUPS.items()}


class Group(NamedTuple):
    name: str | None
    """None for what had none: of a route, requests that were refused before one matched."""
    requests: int
    input_tokens: int
    output_tokens: int
    nanousd: int
    saved_nanousd: int


async def spend_by(database: Database, by: str, since_ms: int, until_ms: int) -> list[Group]:
    """What requests that came from `since_ms` on and before `until_ms` came to, the dearest groups first; `by` is one
    of `GROUPS`. Raises DatabaseUnavailable."""
    rows = await database.fetch(_STATEMENTS[by], since_ms, until_ms, timeout_s=_READ_S)
    return [Group(_name(by, row[0]), *map(int, row[1:])) for row in rows]


def _name(by: str, value: object) -> str | None:
    if by == "day" and isinstance(value, int):
        return f"{datetime.fromtimestamp(value * 86_400, UTC):%Y-%m-%d}"
    return None if value is None else str(value)
