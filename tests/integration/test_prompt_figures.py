"""Figures of a prompt's versions, read off both databases as the gateway writes them, to the nano-dollar."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.accounting.compare import best_of, compare
from gateway.accounting.entry import row_of
from gateway.accounting.ledger import INSERT
from gateway.accounting.versions import figures_of
from gateway.record import Record
from gateway.sql import Database
from gateway.values import Caller, Cost, Target, Usage

NOW = 1_800_000_000.0
ALL = {"since_ms": 0, "until_ms": 1 << 53}
SAID = (
    "INSERT INTO prompt_feedback (request_id, key_name, at_ms, answered_ms, prompt, prompt_version, score, comment)"
    " VALUES ($1, 'bot', $2, $2, $3, $4, $5, NULL)"
)
_seq = itertools.count(1)


@pytest.fixture
async def database(ledger_url: str) -> AsyncIterator[Database]:
    async with Database(ledger_url) as database:
        yield database


def asked(version: int, **changes: Any) -> Record:
    record = Record(f"req_{next(_seq)}", "chat", NOW, 0.0)
    fields = {
        "prompt": "support",
        "prompt_version": version,
        "prompt_label": "production",
        "caller": Caller("bot"),
        "target": Target("up", "gpt-5-mini"),
        "status": 200,
        "is_success": True,
        "finish_reason": "stop",
        "usage": Usage(100, 10),
        "cost": Cost(500, "computed"),
        "duration_s": 0.5,
        **changes,
    }
    for name, value in fields.items():
        setattr(record, name, value)
    return record


async def book(database: Database, *records: Record) -> None:
    await database.write(*INSERT.batches([row_of(record, 1, next(_seq)) for record in records]))


async def test_every_request_is_in_the_figures_of_its_version_once(database: Database) -> None:
    await book(
        database,
        asked(7),
        asked(7, usage=Usage(200, 30), cost=Cost(1_500, "computed"), duration_s=1.5, finish_reason="length"),
        asked(7, cache="hit", cost=None, finish_reason=None, duration_s=0.001),
        asked(7, is_success=False, status=429, rejected="rate_limit_exceeded", usage=None, cost=None),
        asked(7, is_success=False, status=502, usage=None, cost=None),
        asked(7, is_success=False, status=499, usage=Usage(100, 2), cost=Cost(120, "estimated")),
        asked(7, cost=None, price_unknown=True),
        asked(8, finish_reason="completed"),
        asked(7, prompt="another"),
        asked(0, prompt=None),
        asked(8, endpoint="shadow", cost=Cost(9, "computed"), finish_reason="tool_calls"),
    )
    seven, eight, shadow = await figures_of(database, "support", **ALL)
    assert (seven.version, seven.requests, seven.hits, seven.refused, seven.left, seven.failed) == (7, 7, 1, 1, 1, 1)
    assert (seven.answers, seven.input_tokens, seven.output_tokens) == (3, 500, 52)
    assert (seven.cost_nanousd, seven.unpriced) == (500 + 1_500 + 120, 1)
    assert (seven.cost_sample.count, seven.cost_sample.total, seven.cost_sample.squares) == (2, 2_000, 2_500_000)
    assert (round(seven.duration_sample.mean), round(seven.input_sample.mean)) == (833_333, 133)
    assert seven.endings == (("length", 1), ("stop", 2))
    assert (seven.failures.some, seven.failures.all_) == (1, 4)
    assert (eight.version, eight.is_shadow, eight.requests, eight.endings) == (8, False, 1, (("stop", 1),))
    assert (shadow.version, shadow.is_shadow, shadow.requests, shadow.cost_nanousd) == (8, True, 1, 9)


async def test_opinions_belong_to_the_version_that_answered(database: Database) -> None:
    await book(database, asked(7), asked(8))
    said = [("r1", 7, 1.0), ("r2", 7, -1.0), ("r3", 7, -0.5), ("r4", 8, 0.0), ("r5", 8, 1.0)]
    rows = [(request_id, int(NOW * 1000), "support", version, score) for request_id, version, score in said]
    await database.write((SAID, rows))
    seven, eight = await figures_of(database, "support", **ALL)
    assert (seven.up, seven.down, seven.neutral) == (1, 2, 0)
    assert (eight.up, eight.down, eight.neutral) == (1, 0, 1)
    assert round(seven.dislikes.ratio, 3) == 0.667


async def test_only_what_came_in_the_period_counts(database: Database) -> None:
    await book(database, asked(7), asked(7, started_at=NOW - 3600))
    found = await figures_of(database, "support", since_ms=int(NOW * 1000), until_ms=1 << 53)
    assert [each.requests for each in found] == [1]
    assert await figures_of(database, "support", since_ms=0, until_ms=1000) == []


async def test_a_dearer_version_is_found_in_the_ledger(database: Database) -> None:
    await book(database, *(asked(7, cost=Cost(1_000 + n % 100, "computed")) for n in range(300)))
    await book(database, *(asked(8, cost=Cost(1_300 + n % 100, "computed")) for n in range(300)))
    found = await figures_of(database, "support", **ALL)
    [line] = [line for line in compare("support", *(best_of(found, n) for n in (7, 8))).lines if line.name == "cost"]
    assert line.verdict == "more"
    assert line.change == pytest.approx(300 / 1049.5)
    assert line.change_interval is not None
    assert 0.27 < line.change_interval.low < 0.286 < line.change_interval.high < 0.30
