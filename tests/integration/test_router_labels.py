"""What the classifier learns from, in both databases: written as a gateway writes it, read as training reads it."""

from collections.abc import AsyncIterator

import pytest

from gateway.clock import SystemClock
from gateway.routing.features import extract
from gateway.routing.labels import QUEUE_ROWS, Labels
from gateway.routing.model import Classifier
from gateway.routing.offline import labelled
from gateway.routing.samples import Sample, to_json
from gateway.sql import Database

TEXTS = [f"What is the capital of country number {n}, and of Xyzzy?" for n in range(40)]


@pytest.fixture
async def database(ledger_url: str) -> AsyncIterator[Database]:
    async with Database(ledger_url) as database:
        await database.fetch("SELECT 1 FROM router_samples", timeout_s=60)  # makes the tables
        yield database


def sample(number: int, *, tier: str = "cheap", propensity: float | None = None, text: str | None = None) -> Sample:
    classifier = Classifier.load()
    seen, verdict = extract(TEXTS[number]), classifier.judge(TEXTS[number])
    known = classifier.known(seen)
    features = to_json(known, len(seen.words) - len(known), seen, verdict)
    return Sample(f"r{number}", 1_700_000_000_000, "bot", "support", tier, 0.5, propensity, features, text)


async def test_outcomes_become_rows_to_train_on_and_every_fifth_is_held_out(
    ledger_url: str, database: Database
) -> None:
    async with Labels(database, SystemClock(), retention_days=36_500) as labels:
        for number in range(len(TEXTS)):
            labels.sample(sample(number, text=TEXTS[number]))
            labels.outcome(f"r{number}", "agreement", number % 2, 1.0)
    learned = await labelled.read(ledger_url, route="support", held_out=False)
    held_out = await labelled.read(ledger_url, route=None, held_out=True)
    assert sorted(learned.texts + held_out.texts) == sorted(TEXTS)
    assert 1 <= len(held_out.rows) <= 16
    assert {row.id: row.weak for row in learned.rows + held_out.rows}["r1"] == 1.0
    assert (await labelled.read(ledger_url, route="another", held_out=False)).rows == ()


async def test_without_its_text_a_question_has_the_features_it_had(ledger_url: str, database: Database) -> None:
    async with Labels(database, SystemClock(), retention_days=36_500) as labels:
        labels.sample(sample(0))
        labels.outcome("r0", "agreement", 0.0, 1.0)
    found = [await labelled.read(ledger_url, route=None, held_out=held_out) for held_out in (False, True)]
    [row] = [row for rows in found for row in rows.rows]
    assert "xyzzy" not in row.text
    assert row.features is not None
    classifier = Classifier.load()
    weighed, judged = classifier.weigh(row.features), classifier.judge(TEXTS[0])
    assert weighed.probability == pytest.approx(judged.probability, abs=1e-9)
    assert weighed.known_words == judged.known_words


async def test_an_opinion_teaches_where_a_coin_chose_and_from_who_asked(ledger_url: str, database: Database) -> None:
    async with Labels(database, SystemClock(), retention_days=36_500) as labels:
        for number, (tier, score) in enumerate([("cheap", -1.0), ("cheap", 1.0), ("expensive", 1.0)]):
            labels.sample(sample(number, tier=tier, propensity=0.5))
            labels.feedback(f"r{number}", "bot", 0.0, None)
            labels.feedback(f"r{number}", "bot", score, "my last word")
            labels.feedback(f"r{number}", "somebody else", -score, None)
        labels.sample(sample(3))
        labels.feedback("r3", "bot", 1.0, None)
    found = [await labelled.read(ledger_url, route=None, held_out=held_out) for held_out in (False, True)]
    rows = sorted((row.id, row.weak, row.strong) for part in found for row in part.rows)
    assert rows == [("r0", 0.0, 1.0), ("r1", 1.0, 1.0), ("r2", 0.5, 1.0)]
    assert (await database.fetch("SELECT COUNT(*) FROM router_feedback"))[0][0] == 4


async def test_a_row_that_the_database_refuses_takes_no_other_with_it(database: Database) -> None:
    async with Labels(database, SystemClock(), retention_days=36_500) as labels:
        labels.sample(sample(0))
        labels.outcome("r0", None, 0.0, 1.0)  # type: ignore[arg-type]
        labels.outcome("r0", "agreement", 0.0, 1.0)
    assert labels.dropped == 1
    assert await database.fetch("SELECT request_id FROM router_samples") == [("r0",)]
    assert await database.fetch("SELECT judge FROM router_outcomes") == [("agreement",)]


async def test_shadow_versions_of_prompts_do_not_use_up_the_budget_of_a_route(database: Database) -> None:
    columns = (
        "at_ms, writer, seq, request_id, endpoint, route, reason, is_stream, status, is_success, is_lost, attempts,"
        " dropped_tokens, trimmed_tokens, is_estimated, cost_nanousd, price_unknown, saved_cache_nanousd,"
        " saved_coalesced_nanousd, saved_tier_nanousd, saved_trim_nanousd, duration_us, upstream_us, prompt"
    )
    async with Labels(database, SystemClock(), retention_days=1) as labels:
        for seq, (cost, prompt) in enumerate([(700, None), (40_000, "greeting")]):
            row = (labels.now_ms, 1, seq, f"r{seq}", "shadow", "support", "shadow", False, 200, True, False, 1)
            rest = (0, 0, False, cost, False, 0, 0, 0, 0, 0, 0, prompt)
            values = ", ".join(f"${n}" for n in range(1, len(row + rest) + 1))
            await database.fetch(f"INSERT INTO ledger ({columns}) VALUES ({values})", *row, *rest)
        assert await labels.spent_today("support") == 700


async def test_old_rows_are_forgotten_and_a_queue_has_an_end(database: Database) -> None:
    async with Labels(database, SystemClock(), retention_days=1) as labels:
        assert await labels.spent_today("support") == 0
        for _ in range(QUEUE_ROWS + 5):
            labels.outcome("r0", "agreement", 0.0, 1.0)
        assert labels.dropped == 5
        labels.sample(sample(0))
        await labels._forget_old()
    assert await database.fetch("SELECT request_id FROM router_outcomes") == [("r0",)]
