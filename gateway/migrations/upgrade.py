"""Bring a database's tables to the newest version, or another."""

import asyncio
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.config.database_url import sqlalchemy_url, sqlite_path
from gateway.sql.sqlite import make_private

FOLDER = Path(__file__).parent
LOCK = 0x6C6C6D67_61746577
"""Of Postgres' advisory locks, ours: `llmgatew` in ASCII."""


def upgrade(url: str, *, to: str = "head") -> None:
    """`url` as in the configuration's `ledger`. All or nothing on Postgres; on SQLite step by step."""
    with _alone(url):
        asyncio.run(_upgrade(url, to))


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """SQLite's own locks end with each statement that changes a table, so that a file stands for the whole."""
    path = sqlite_path(url)
    if path is None:
        yield
        return
    make_private(path)
    lock = path.with_name(path.name + ".lock")
    lock.touch(mode=0o600)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def _upgrade(url: str, to: str) -> None:
    engine = create_async_engine(sqlalchemy_url(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.run_sync(_run, to)
    finally:
        await engine.dispose()


def _run(connection: Connection, to: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
