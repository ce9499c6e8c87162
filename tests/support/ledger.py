"""Ledgers for tests: made-up records, and what stands in the tables."""

from typing import Any

from gateway.record import Record
from gateway.sql import Database
from gateway.tables import ledger


def record(**fields: Any) -> Record:
    made = Record("req_1", "chat", 1_800_000_000.0, 0.0)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


async def rows(url: str, what: str = "*", table: str = "ledger") -> list[dict[str, Any]]:
    names = list(ledger.columns.keys()) if what == "*" else what.split(", ")
    async with Database(url) as database:
        found = await database.fetch(f"SELECT {', '.join(names)} FROM {table} ORDER BY at_ms, seq")
    return [dict(zip(names, row, strict=True)) for row in found]
