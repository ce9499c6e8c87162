"""What was spent since a moment, by the ledger: for budgets that are kept in memory, and have to outlive a restart."""

from collections.abc import Iterable
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
