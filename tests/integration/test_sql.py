"""The database as a serving process uses it, on a real SQLite file and a real Postgres."""

import asyncio
import importlib.util
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.config.database_url import shown, sqlalchemy_url
from gateway.errors import ConfigError, DatabaseRefused, DatabaseUnavailable
from gateway.migrations.upgrade import upgrade
from gateway.sql import Database, newest_version
from gateway.tables import metadata
from tests.support.postgres_server import PostgresServer

WRITER = (
    "INSERT INTO ledger_writers (id, host, pid, version, started_ms, seen_ms, closed_ms, taken, dropped)"
    " VALUES ($1, $2, 1, '1', 0, 0, NULL, 0, 0) ON CONFLICT (id) DO NOTHING"
)
HOSTS = "SELECT id, host FROM ledger_writers ORDER BY id"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new folder/ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(upgrade, url)
    async with Database(url) as database:
        yield database


async def differences(url: str) -> list[object]:
    def compare(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    engine = create_async_engine(sqlalchemy_url(url))
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(compare)
    finally:
        await engine.dispose()


async def test_the_migrations_make_the_tables_that_are_described(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    found = await differences(url)
    assert [change for change in found if "_rest" not in str(change)] == []


async def test_tables_are_made_on_first_use_however_many_begin_at_once(url: str) -> None:
    async with Database(url) as one, Database(url) as two:
        await asyncio.gather(
            one.write((WRITER, [(1, "a")]), timeout_s=40), two.write((WRITER, [(2, "b")]), timeout_s=40)
        )
        assert await one.fetch(HOSTS) == [(1, "a"), (2, "b")]
        assert await two.fetch("SELECT version_num FROM alembic_version") == [(newest_version(),)]


async def test_what_is_written_twice_stands_once(database: Database) -> None:
    await database.write((WRITER, [(1, "a")]))
    await database.write((WRITER, [(1, "a"), (2, "b")]))
    assert await database.fetch(HOSTS) == [(1, "a"), (2, "b")]


async def test_all_is_written_or_nothing(database: Database) -> None:
    with pytest.raises(DatabaseRefused):
        await database.write((WRITER, [(1, "a")]), (WRITER, [(2, None)]))
    assert await database.fetch(HOSTS) == []


@pytest.mark.parametrize("value", ["half a pair \ud83d", 1 << 70])
async def test_what_no_database_takes_is_refused(database: Database, value: object) -> None:
    row = (value, "a") if isinstance(value, int) else (1, value)
    with pytest.raises(DatabaseRefused):
        await database.write((WRITER, [row]))
    assert await database.fetch("SELECT $1 + 1", 1) == [(2,)]


async def test_a_statement_that_takes_too_long_is_given_up(database: Database) -> None:
    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(DatabaseUnavailable, match="did not answer within"):
        await database.fetch(forever, timeout_s=0.2)
    async with asyncio.timeout(10):
        while True:
            try:
                assert await database.fetch("SELECT 1") == [(1,)]
                break
            except DatabaseUnavailable:
                await asyncio.sleep(0.01)


async def test_a_postgres_that_is_frozen_stopped_or_started_anew(postgres: PostgresServer) -> None:
    await asyncio.to_thread(upgrade, postgres.url)
    async with Database(postgres.url) as database:
        await database.write((WRITER, [(1, "a")]))
        postgres.freeze()
        with pytest.raises(DatabaseUnavailable):
            await database.write((WRITER, [(2, "b")]), timeout_s=0.3)
        with pytest.raises(DatabaseUnavailable):  # now without a connection
            await database.write((WRITER, [(2, "b")]), timeout_s=0.3)
        postgres.thaw()
        await database.write((WRITER, [(2, "b")]))
        postgres.stop()
        with pytest.raises(DatabaseUnavailable):
            await database.write((WRITER, [(3, "c")]))
        postgres.start()
        await database.write((WRITER, [(3, "c")]))
        assert await database.fetch(HOSTS) == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_file_that_another_process_keeps_locked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    await asyncio.to_thread(upgrade, url)
    async with Database(url) as database:
        await database.fetch(HOSTS)
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseUnavailable):
            await database.write((WRITER, [(1, "a")]), timeout_s=0.2)
        other.execute("ROLLBACK")
        other.close()


async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with Database(f"sqlite:///{tmp_path}/file/ledger.db") as database:
        with pytest.raises(DatabaseUnavailable):
            await database.fetch(HOSTS)


async def test_no_message_holds_the_password() -> None:
    async with Database("postgresql://gateway:hunter2@127.0.0.1:1/ledger?sslmode=disable") as database:
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.fetch(HOSTS)
        assert database.name == "postgresql://127.0.0.1:1/ledger"
        assert "hunter2" not in str(caught.value) + repr(database)


def test_urls_for_sqlalchemy() -> None:
    assert sqlalchemy_url("sqlite:///var/a b.db") == "sqlite+aiosqlite:///var/a b.db"
    assert sqlalchemy_url("postgres://u:p@h/d?sslmode=require") == "postgresql+asyncpg://u:p@h/d?ssl=require"
    assert shown("postgres://u:p@h:5/d?sslmode=require") == "postgresql://h:5/d"


def test_a_missing_extra_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("gateway.sql.database.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'llm-gateway\[postgres\]'"):
        Database("postgresql://h/d")


async def test_a_new_file_and_its_folders_are_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "books" / "ledger.db"
    before = os.umask(0o022)
    try:
        async with Database(f"sqlite:///{path}") as database:
            await database.write((WRITER, [(1, "a")]))
            modes = {
                each.name: stat.S_IMODE(each.stat().st_mode) for each in (path.parent.parent, *path.parent.iterdir())
            }
            folder = stat.S_IMODE(path.parent.stat().st_mode)
    finally:
        os.umask(before)
    assert (folder, modes.pop("var")) == (0o700, 0o700)
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"), 0o600)


async def test_several_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        url = f"sqlite:///{tmp_path}/{attempt}.db"
        databases = [Database(url) for _ in range(4)]
        try:
            await asyncio.gather(*(database._driver.fetch("SELECT 1", (), 5) for database in databases))
        finally:
            for database in databases:
                await database._driver.close()


async def test_a_user_who_may_not_make_tables_is_told_and_not_asked_again_at_once(postgres: PostgresServer) -> None:
    await postgres.ask("DROP ROLE IF EXISTS reader")
    await postgres.ask("CREATE ROLE reader LOGIN")
    await postgres.ask("GRANT USAGE ON SCHEMA public TO reader")
    url = postgres.url.replace("postgres:a-password@", "reader@")
    async with Database(url) as database:
        with pytest.raises(DatabaseUnavailable, match="permission denied") as first:
            await database.fetch(HOSTS, timeout_s=40)
        began = asyncio.get_running_loop().time()
        with pytest.raises(DatabaseUnavailable) as second:
            await database.fetch(HOSTS)
        assert str(second.value) == str(first.value)
        assert asyncio.get_running_loop().time() - began < 1, "no second process was started"
