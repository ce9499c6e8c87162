"""The ledger's writer over a real SQLite file and a real Postgres: batches, refusals, retention."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

from gateway.accounting.entry import ATTEMPT_COLUMNS, COLUMNS, attempts_of, row_of
from gateway.accounting.ledger import Ledger
from gateway.accounting.upkeep import keep_up
from gateway.clock import ManualClock, SystemClock
from gateway.migrations.upgrade import upgrade
from gateway.record import Attempt
from gateway.sql import Database
from gateway.tables import ledger, ledger_attempts
from gateway.values import Caller, Target
from tests.support.ledger import record, rows
from tests.support.polling import until
from tests.support.postgres_server import PostgresServer

DAY_MS = 86_400_000


def test_rows_have_the_tables_columns() -> None:
    assert tuple(ledger.columns.keys()) == COLUMNS
    assert tuple(ledger_attempts.columns.keys()) == ATTEMPT_COLUMNS
    made = record(attempts=[Attempt(Target("up", "m"))])
    assert len(row_of(made, 1, 1)) == len(COLUMNS)
    assert [len(row) for row in attempts_of(made, 1, 1)] == [len(ATTEMPT_COLUMNS)]


async def test_names_that_clients_make_up_do_not_keep_rows_out(ledger_url: str) -> None:
    async with Database(ledger_url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        for model in ("a\0b", "half \ud83d", "x" * 5000, "ok"):
            book.observe(record(target=Target("up", model), started_at=SystemClock().wall()))
    assert [row["target"] for row in await rows(ledger_url)] == ["up/a?b", "up/half ?", "up/" + "x" * 253, "up/ok"]
    assert book.dropped == 0


async def test_a_row_that_is_refused_keeps_no_other_out(ledger_url: str) -> None:
    async with Database(ledger_url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        for name in ("a", "half \ud83d", "b"):
            book.observe(record(caller=Caller(name), started_at=SystemClock().wall()))
    assert [row["key_name"] for row in await rows(ledger_url)] == ["a", "b"]
    assert book.dropped == 1


async def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path}/file/ledger.db")
    book = Ledger(database, SystemClock(), retention_days=1, queue_rows=10)
    for _ in range(15):
        book.observe(record())
    assert (book.queued, book.dropped, book.taken) == (10, 5, 15)


async def test_a_locked_file_is_written_when_it_is_free_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    await asyncio.to_thread(upgrade, url)
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    async with Database(url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        await until(lambda: book.is_up and book.queued == 0)
        other.execute("BEGIN EXCLUSIVE")
        book.observe(record(started_at=SystemClock().wall()))
        await until(lambda: not book.is_up)
        other.execute("ROLLBACK")
        await until(lambda: book.queued == 0)
    other.close()
    assert len(await rows(url)) == 1


async def test_a_batch_written_twice_stands_once(ledger_url: str) -> None:
    async with Database(ledger_url) as database:
        book = Ledger(database, SystemClock(), retention_days=3650)
        pair = (row_of(record(), 7, 1), attempts_of(record(attempts=[Attempt(Target("up", "m"))]), 7, 1))
        await book._write([pair])
        await book._write([pair])
    assert len(await rows(ledger_url)) == 1
    assert len(await rows(ledger_url, "seq", "ledger_attempts")) == 1


async def test_what_a_dead_process_had_reserved_gets_a_row(ledger_url: str) -> None:
    async with Database(ledger_url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        book.lost = lambda: (3, 4_500)
    (row,) = await rows(ledger_url)
    assert (row["is_lost"], row["attempts"], row["cost_nanousd"], row["endpoint"]) == (True, 3, 4_500, "lost")


async def test_old_rows_go_and_new_ones_stay(ledger_url: str) -> None:
    clock = ManualClock()  # in January 2027
    now_ms = int(clock.wall() * 1000)
    async with Database(ledger_url) as database:
        await keep_up(database, now_ms, 30)
        book = Ledger(database, clock, retention_days=30)
        made = record(attempts=[Attempt(Target("up", "m"))])
        days = [0, 1, 29, 31, 90, 400]
        for day in days:
            old = replace(made, started_at=clock.wall() - day * 86_400)
            await book._write([(row_of(old, 1, day), attempts_of(old, 1, day))])
        await keep_up(database, now_ms, 30)
    assert [row["seq"] for row in await rows(ledger_url, "seq")] == [29, 1, 0]
    assert len(await rows(ledger_url, "seq", "ledger_attempts")) == 3


async def test_postgres_has_a_partition_for_each_month_and_drops_it_whole(postgres: PostgresServer) -> None:
    await asyncio.to_thread(upgrade, postgres.url)
    clock = ManualClock()
    async with Database(postgres.url) as database:

        async def partitions() -> list[str]:
            names = await database.fetch(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger'::regclass ORDER BY 1"
            )
            return [name for (name,) in names]

        await keep_up(database, int(clock.wall() * 1000), 30)
        assert await partitions() == ["ledger_2027_01", "ledger_2027_02", "ledger_rest"]
        await Ledger(database, clock, retention_days=30)._write([(row_of(record(), 1, 1), [])])
        assert await database.fetch("SELECT count(*) FROM ledger_2027_01") == [(1,)]
        await keep_up(database, int(clock.wall() * 1000) + 70 * DAY_MS, 30)
        assert await partitions() == ["ledger_2027_02", "ledger_2027_03", "ledger_2027_04", "ledger_rest"]


async def test_many_rows_of_one_batch_are_all_there(ledger_url: str) -> None:
    clock = SystemClock()
    async with Database(ledger_url) as database, Ledger(database, clock, retention_days=3650) as book:
        for number in range(600):
            tries = [Attempt(Target("up", "m"))] * (number % 3)
            book.observe(record(started_at=clock.wall(), attempts=tries, dropped_tokens=number))
    found = await rows(ledger_url, "seq, dropped_tokens, attempts")
    assert sorted((row["seq"] - 1, row["attempts"]) for row in found) == [(n, n % 3) for n in range(600)]
    assert all(row["dropped_tokens"] == row["seq"] - 1 for row in found)
    assert len(await rows(ledger_url, "seq", "ledger_attempts")) == 600
    assert book.dropped == 0


async def test_a_user_who_may_only_write_rows_writes_them(postgres: PostgresServer) -> None:
    await asyncio.to_thread(upgrade, postgres.url)
    await postgres.ask("DROP ROLE IF EXISTS writer")
    await postgres.ask("CREATE ROLE writer LOGIN")
    await postgres.ask("GRANT USAGE ON SCHEMA public TO writer")
    await postgres.ask("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO writer")
    url = postgres.url.replace("postgres:a-password@", "writer@")
    async with Database(url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        book.observe(record(started_at=SystemClock().wall()))
        await until(lambda: book.taken == 1 and book.queued == 0)
    assert len(await rows(postgres.url)) == 1


async def test_a_request_made_from_a_prompt_says_so(ledger_url: str) -> None:
    at = SystemClock().wall()
    async with Database(ledger_url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        book.observe(record(prompt="support", prompt_version=7, prompt_label="production", started_at=at))
        book.observe(record(prompt="support", prompt_version=3, started_at=at))
        book.observe(record(started_at=at))
    found = await rows(ledger_url, "prompt, prompt_version, prompt_label")
    assert [tuple(row.values()) for row in found] == [
        ("support", 7, "production"),
        ("support", 3, None),
        (None, None, None),
    ]
