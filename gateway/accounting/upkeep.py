"""What the ledger's tables need from time to time: partitions for the coming months, and the end of what is too old."""

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta

from gateway.errors import DatabaseError
from gateway.sql import Database

log = logging.getLogger(__name__)

TABLES = ("ledger", "ledger_attempts")
"""Those with a partition for each month, on Postgres."""
_AT_ONCE = 2000
"""Rows deleted in one transaction, so that nobody waits long for its end."""
_LOCK = 0x6C65_6467
"""Postgres' advisory lock for partitions: `ledg`. Two processes that make the same one would be told of an error."""
_PARTITION = re.compile(r"ledger(?:_attempts)?_(\d{4})_(\d\d)")


async def keep_up(database: Database, now_ms: int, retention_days: int) -> None:
    """Done at start and every hour, by every process; harmless when done at once. Raises DatabaseUnavailable."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    cutoff = now - timedelta(days=retention_days)
    if database.is_postgres:
        for month in (_month(now), _next(_month(now))):
            for table in TABLES:
                await _make_partition(database, table, month)
        await _drop_partitions(database, cutoff)
    await _delete(database, int(cutoff.timestamp() * 1000))


def _month(at: datetime) -> datetime:
    return datetime(at.year, at.month, 1, tzinfo=UTC)


def _next(month: datetime) -> datetime:
    return _month(month + timedelta(days=31))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


async def _make_partition(database: Database, table: str, month: datetime) -> None:
    name = f"{table}_{month:%Y_%m}"
    make = (
        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table}"
        f" FOR VALUES FROM ({_ms(month)}) TO ({_ms(_next(month))})"
    )
    try:
        await database.write((f"SELECT pg_advisory_xact_lock({_LOCK})", [()]), (make, [()]))
    except DatabaseError as error:
        if "ledger_rest" not in str(error) and "ledger_attempts_rest" not in str(error):
            raise
        log.warning("ledger: %s is not made, since rows of its month stand in the table for the rest", name)


async def _drop_partitions(database: Database, cutoff: datetime) -> None:
    """Whole months, at once and without a trace in the tables that stay."""
    rows = await database.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text = $1", "ledger"
    )
    rows += await database.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text = $1", "ledger_attempts"
    )
    for (name,) in rows:
        found = _PARTITION.fullmatch(name)
        if found and _next(datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)) <= cutoff:
            await database.write((f"DROP TABLE IF EXISTS {name}", [()]), timeout_s=60)
            log.info("ledger: dropped %s, past its retention", name)


async def _delete(database: Database, cutoff_ms: int) -> None:
    for table in (*TABLES, "prompt_feedback"):
        while True:
            place = f"SELECT at_ms FROM {table} WHERE at_ms < $1 ORDER BY at_ms LIMIT 1 OFFSET {_AT_ONCE}"  # noqa: S608
            rows = await database.fetch(place, cutoff_ms)
            until_ms = rows[0][0] + 1 if rows else cutoff_ms
            await database.write((f"DELETE FROM {table} WHERE at_ms < $1", [(min(until_ms, cutoff_ms),)]))  # noqa: S608
            if not rows:
                break
            await asyncio.sleep(0.01)  # whoever else writes has its turn
    await database.write(("DELETE FROM ledger_writers WHERE seen_ms < $1", [(cutoff_ms,)]))
