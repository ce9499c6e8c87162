"""What requests leave in the ledger, on SQLite and on Postgres, and what they do not notice of it."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.accounting.entry import ATTEMPT_COLUMNS, COLUMNS, attempts_of, row_of
from gateway.accounting.ledger import Ledger
from gateway.accounting.upkeep import keep_up
from gateway.clock import ManualClock, SystemClock
from gateway.migrations.upgrade import upgrade
from gateway.record import Attempt, Record
from gateway.sql import Database
from gateway.tables import ledger, ledger_attempts
from gateway.values import Caller, Target
from tests.support.gateway import config, gateway
from tests.support.postgres_server import PostgresServer
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, usage

DAY_MS = 86_400_000


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url


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


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  (it is no event of ours)
            await asyncio.sleep(0.005)


def test_rows_have_the_tables_columns() -> None:
    assert tuple(ledger.columns.keys()) == COLUMNS
    assert tuple(ledger_attempts.columns.keys()) == ATTEMPT_COLUMNS
    made = record(attempts=[Attempt(Target("up", "m"))])
    assert len(row_of(made, 1, 1)) == len(COLUMNS)
    assert [len(row) for row in attempts_of(made, 1, 1)] == [len(ATTEMPT_COLUMNS)]


async def test_a_request_its_hit_and_its_refusal(url: str) -> None:
    answer = chat_body("Hello.", usage=usage(1000, 200, cached_tokens=400, reasoning_tokens=150))
    document = {
        "ledger": url,
        "routes": [{"name": "default", "upstream": "up", "cache": {}, "tokens": {"max_prompt": 100}}],
    }
    async with (
        ScriptedUpstream(Reply.of({**answer, "service_tier": "default"})) as up,
        gateway(config(up.base_url, **document)) as gw,
    ):
        first = await gw.chat(model="gpt-4o-mini")
        again = await gw.chat(model="gpt-4o-mini")
        refused = await gw.chat(model="gpt-4o-mini", messages=[{"role": "user", "content": "word " * 200}])
    assert [answer.status for answer in (first, again, refused)] == [200, 200, 400]
    paid, hit, no = await rows(url)
    cost = 600 * 150 + 400 * 75 + 200 * 600
    assert first.headers["x-gateway-cost-usd"] == f"0.{cost:09d}"
    expected = {
        "route": "default",
        "key_name": "anonymous",
        "team": None,
        "tier": "none",
        "status": 200,
        "is_success": True,
        "target": "up/gpt-4o-mini",
        "cache": "miss",
        "attempts": 1,
        "finish_reason": "stop",
        "cost_nanousd": cost,
        "cost_source": "computed",
        "input_tokens": 1000,
        "cached_input_tokens": 400,
        "output_tokens": 200,
        "reasoning_tokens": 150,
        "service_tier": "default",
        "saved_cache_nanousd": 0,
        "is_estimated": False,
        "request_id": first.headers["x-request-id"],
        "counted_tokens": 8,
        "is_lost": False,
        "price_unknown": False,
    }
    assert {name: paid[name] for name in expected} == expected
    assert (hit["cache"], hit["cost_nanousd"], hit["saved_cache_nanousd"], hit["attempts"]) == ("hit", None, cost, 0)
    assert hit["cache_key"] == paid["cache_key"] != None  # noqa: E711
    assert (no["status"], no["rejected"], no["target"]) == (400, "context_length_exceeded", None)
    assert 0 < paid["upstream_us"] <= paid["first_byte_us"] <= paid["duration_us"] < 60_000_000
    tries = await rows(url, "seq, number, target, outcome", "ledger_attempts")
    assert tries == [{"seq": 1, "number": 1, "target": "up/gpt-4o-mini", "outcome": "ok"}]
    (writer,) = await rows_of_writers(url)
    assert (writer["taken"], writer["dropped"]) == (3, 0)
    assert writer["closed_ms"] >= writer["started_ms"]


async def rows_of_writers(url: str) -> list[dict[str, Any]]:
    names = ["taken", "dropped", "started_ms", "closed_ms"]
    async with Database(url) as database:
        return [
            dict(zip(names, row, strict=True))
            for row in await database.fetch(f"SELECT {', '.join(names)} FROM ledger_writers")
        ]


async def test_a_stream_has_its_end_and_its_first_byte(url: str) -> None:
    chunks = chat_chunks("Hel", "lo", usage=usage(8, 2))
    async with (
        ScriptedUpstream(Stream.of(*chunks), Stream.of(chunks[0], cut=True)) as up,
        gateway(config(up.base_url, ledger=url)) as gw,
    ):
        await gw.chat(stream=True)
        await gw.chat(stream=True)
    whole, cut = await rows(url)
    assert (whole["is_stream"], whole["is_success"], whole["finish_reason"]) == (True, True, "stop")
    assert (cut["status"], cut["error"], cut["is_success"], cut["finish_reason"]) == (502, "UpstreamCut", False, None)
    assert (cut["is_estimated"], cut["cost_source"]) == (True, "estimated")


async def test_names_that_clients_make_up_do_not_keep_rows_out(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    async with Database(url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        for model in ("a\0b", "half \ud83d", "x" * 5000, "ok"):
            book.observe(record(target=Target("up", model), started_at=SystemClock().wall()))
    assert [row["target"] for row in await rows(url)] == ["up/a?b", "up/half ?", "up/" + "x" * 253, "up/ok"]
    assert book.dropped == 0


async def test_a_row_that_is_refused_keeps_no_other_out(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    async with Database(url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        for name in ("a", "half \ud83d", "b"):
            book.observe(record(caller=Caller(name), started_at=SystemClock().wall()))
    assert [row["key_name"] for row in await rows(url)] == ["a", "b"]
    assert book.dropped == 1


async def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path}/file/ledger.db")
    book = Ledger(database, SystemClock(), retention_days=1, queue_rows=10)
    for _ in range(15):
        book.observe(record())
    assert (book.queued, book.dropped, book.taken) == (10, 5, 15)


async def test_requests_do_not_notice_a_database_that_is_away(postgres: PostgresServer) -> None:
    """Stopped from the start, then frozen, then stopped: every answer comes, and every row is there in the end."""
    postgres.stop()
    async with (
        ScriptedUpstream(*[Reply.of(chat_body("Hello.", usage=usage(8, 2)))] * 40) as up,
        gateway(config(up.base_url, ledger=postgres.url)) as gw,
    ):

        async def ask(n: int) -> None:
            for _ in range(n):
                assert (await gw.chat()).status == 200

        await gw.until(lambda scrape: scrape("gateway_ledger_up") == 0)
        await ask(10)
        assert await gw.metric("gateway_ledger_queued_rows") == 10
        postgres.start()
        await gw.until_within(30, lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
        postgres.freeze()
        await ask(10)
        postgres.thaw()
        await ask(10)
        postgres.kill()
        await ask(10)
        postgres.start()
        await gw.until_within(30, lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
        assert await gw.metric("gateway_ledger_dropped_total") == 0
    assert len(await rows(postgres.url)) == 40


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


async def test_a_batch_written_twice_stands_once(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    async with Database(url) as database:
        book = Ledger(database, SystemClock(), retention_days=3650)
        pair = (row_of(record(), 7, 1), attempts_of(record(attempts=[Attempt(Target("up", "m"))]), 7, 1))
        await book._write([pair])
        await book._write([pair])
    assert len(await rows(url)) == 1
    assert len(await rows(url, "seq", "ledger_attempts")) == 1


async def test_what_a_dead_process_had_reserved_gets_a_row(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    async with Database(url) as database, Ledger(database, SystemClock(), retention_days=3650) as book:
        book.lost = lambda: (3, 4_500)
    (row,) = await rows(url)
    assert (row["is_lost"], row["attempts"], row["cost_nanousd"], row["endpoint"]) == (True, 3, 4_500, "lost")


async def test_old_rows_go_and_new_ones_stay(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    clock = ManualClock()  # in January 2027
    now_ms = int(clock.wall() * 1000)
    async with Database(url) as database:
        await keep_up(database, now_ms, 30)
        book = Ledger(database, clock, retention_days=30)
        made = record(attempts=[Attempt(Target("up", "m"))])
        days = [0, 1, 29, 31, 90, 400]
        for day in days:
            old = replace(made, started_at=clock.wall() - day * 86_400)
            await book._write([(row_of(old, 1, day), attempts_of(old, 1, day))])
        await keep_up(database, now_ms, 30)
    assert [row["seq"] for row in await rows(url, "seq")] == [29, 1, 0]
    assert len(await rows(url, "seq", "ledger_attempts")) == 3


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


async def test_many_rows_of_one_batch_are_all_there(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    clock = SystemClock()
    async with Database(url) as database, Ledger(database, clock, retention_days=3650) as book:
        for number in range(600):
            tries = [Attempt(Target("up", "m"))] * (number % 3)
            book.observe(record(started_at=clock.wall(), attempts=tries, dropped_tokens=number))
    found = await rows(url, "seq, dropped_tokens, attempts")
    assert sorted((row["seq"] - 1, row["attempts"]) for row in found) == [(n, n % 3) for n in range(600)]
    assert all(row["dropped_tokens"] == row["seq"] - 1 for row in found)
    assert len(await rows(url, "seq", "ledger_attempts")) == 600
    assert book.dropped == 0
