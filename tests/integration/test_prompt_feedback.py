"""Feedback on answers to prompts, in both databases: tied to the version that answered, however late its row comes."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.accounting.entry import row_of
from gateway.accounting.ledger import INSERT
from gateway.accounting.opinions import OF_A_KEY, QUEUED, Opinions
from gateway.accounting.upkeep import keep_up
from gateway.clock import ManualClock, SystemClock
from gateway.sql import Database
from gateway.values import Caller
from tests.support.ledger import record
from tests.support.polling import until

LOOKS_S = (0.0, 0.02, 0.02)
ASKED = "SELECT request_id, key_name, answered_ms, prompt, prompt_version, score, comment FROM prompt_feedback"
_seq = itertools.count(1)


@pytest.fixture
async def database(ledger_url: str) -> AsyncIterator[Database]:
    async with Database(ledger_url) as database:
        yield database


async def answered(database: Database, request_id: str, version: int, *, key: str = "bot") -> None:
    row = record(caller=Caller(key), prompt="support" if version else None, prompt_version=version)
    row.request_id = request_id
    await database.write(*INSERT.batches([row_of(row, 1, next(_seq))]))


async def test_an_opinion_is_tied_to_the_version_that_answered(database: Database, ledger_url: str) -> None:
    told: list[tuple[str, int, float]] = []
    await answered(database, "r1", 7)
    await answered(database, "r2", 8)
    await answered(database, "r3", 0)
    async with (
        Database(ledger_url) as own,
        Opinions(own, SystemClock(), lambda *what: told.append(what), looks_s=LOOKS_S) as opinions,
    ):
        opinions.take("r1", "bot", 1.0, None)
        opinions.take("r2", "bot", -1.0, "rude")
        opinions.take("r2", "somebody else", -1.0, "mine too")
        opinions.take("r3", "bot", -1.0, "no prompt")
        opinions.take("unknown", "bot", -1.0, None)
        await until(lambda: len(told) == 2)
    assert sorted(await database.fetch(ASKED)) == [
        ("r1", "bot", 1_800_000_000_000, "support", 7, 1.0, None),
        ("r2", "bot", 1_800_000_000_000, "support", 8, -1.0, "rude"),
    ]
    assert sorted(told) == [("support", 7, 1.0), ("support", 8, -1.0)]


async def test_the_answers_row_may_come_after_the_opinion(database: Database, ledger_url: str) -> None:
    told: list[tuple[str, int, float]] = []
    async with (
        Database(ledger_url) as own,
        Opinions(own, SystemClock(), lambda *what: told.append(what), looks_s=(0.0, 0.2, 5.0)) as opinions,
    ):
        opinions.take("r1", "bot", 1.0, None)
        await until(lambda: opinions._waiting != [] and opinions._waiting[0][2] == 1)
        await answered(database, "r1", 7)
        await until(lambda: told == [("support", 7, 1.0)])


async def test_whoever_changes_their_mind_is_counted_once_and_heard_last(database: Database, ledger_url: str) -> None:
    told: list[tuple[str, int, float]] = []
    await answered(database, "r1", 7)
    for score in (1.0, -1.0):
        async with Database(ledger_url) as own, Opinions(own, SystemClock(), lambda *what: told.append(what)) as each:
            each.take("r1", "bot", score, None)
    assert [row[5] for row in await database.fetch(ASKED)] == [-1.0]
    assert told == [("support", 7, 1.0)]


async def test_more_than_can_be_looked_up_is_dropped_and_counted(tmp_path: Path) -> None:
    opinions = Opinions(Database(f"sqlite:///{tmp_path}/ledger.db"), ManualClock(), lambda *_: None)
    for number in range(QUEUED + 3):
        opinions.take(f"r{number}", ("bot", "other")[number % 2], 1.0, None)
    assert opinions.dropped == 3


async def test_made_up_ids_of_one_key_lose_nobody_elses_opinions(tmp_path: Path) -> None:
    opinions = Opinions(Database(f"sqlite:///{tmp_path}/ledger.db"), ManualClock(), lambda *_: None)
    for number in range(QUEUED):
        opinions.take(f"made-up-{number}", "hostile", -1.0, None)
    assert opinions.dropped == QUEUED - OF_A_KEY
    opinions.take("r1", "bot", 1.0, None)
    assert opinions.dropped == QUEUED - OF_A_KEY


async def test_what_is_done_with_counts_for_no_key(database: Database, ledger_url: str) -> None:
    told: list[tuple[str, int, float]] = []
    await answered(database, "r1", 7)
    async with (
        Database(ledger_url) as own,
        Opinions(own, SystemClock(), lambda *what: told.append(what), looks_s=(0.0, 0.0)) as opinions,
    ):
        opinions.take("r1", "bot", 1.0, None)
        opinions.take("made-up", "bot", 1.0, None)
        await until(lambda: told == [("support", 7, 1.0)] and not opinions._of_key)


async def test_a_database_that_stays_away_costs_the_opinion_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path}/file/ledger.db")
    async with Opinions(database, SystemClock(), lambda *_: None, looks_s=(0.0, 0.0)) as opinions:
        opinions.take("r1", "bot", 1.0, None)
        await until(lambda: opinions.dropped == 1)


async def test_opinions_go_with_the_ledgers_rows(database: Database) -> None:
    await answered(database, "r1", 7)
    clock = ManualClock()
    async with Opinions(database, clock, lambda *_: None) as opinions:
        opinions.take("r1", "bot", 1.0, None)
    said_ms = int(clock.wall() * 1000)
    await keep_up(database, said_ms + 29 * 86_400_000, 30)
    assert len(await database.fetch(ASKED)) == 1
    await keep_up(database, said_ms + 31 * 86_400_000, 30)
    assert await database.fetch(ASKED) == []
