"""What another configuration would have made of requests, row by row."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.accounting.asked import Reader
from gateway.accounting.courses import TOO_LONG, Courses, Policy
from gateway.accounting.plan import Caps, Outcome, Replay, as_it_was, total
from gateway.accounting.prices import PriceTable
from gateway.admission.past import PastCaps
from gateway.config.model import Config
from gateway.config.money import Price

SMALL, LARGE = "up/small", "up/large"
HOUR_MS = 3_600_000


Row = dict[str, Any]
"""Columns of the ledger."""


def asked(**fields: Any) -> Row:
    """A request of 1,000 tokens that the large model answered with 100, for 1,500,000 nano-dollars."""
    usual: Row = {
        "at_ms": 0,
        "route": "r",
        "tier": "expensive",
        "reason": "classifier",
        "probability": 0.6,
        "target": LARGE,
        "is_success": True,
        "counted_tokens": 1000,
        "dropped_tokens": 0,
        "input_tokens": 1000,
        "output_tokens": 100,
        "cost_nanousd": 1_500_000,
        "cost_source": "computed",
        "price_unknown": False,
        "duration_us": 2_000_000,
    }
    return {**usual, **fields}


REFUSED: Row = {
    **dict.fromkeys(("input_tokens", "output_tokens", "cost_nanousd", "tier", "reason", "probability", "target")),
    "is_success": False,
}
"""What a request is without when it was refused for its length."""


def read(row: Row) -> tuple[Any, ...]:
    """`row` as the database gives it; that the query does so is tested with a real one."""
    of: Row = dict.fromkeys(("key_name", "team", "cache", "cache_key", "rejected", "service_tier")) | row
    claims = (
        of["is_success"],
        of["price_unknown"],
        of["cost_source"] == "reported",
        of.get("cache_detail") in (None, "semantic"),
        *(of[name] is not None for name in ("cache_key", "probability", "counted_tokens", "output_tokens")),
    )
    words = ("route", "tier", "reason", "target", "rejected", "cache", "service_tier")
    numbers = ("input", "cached_input", "cache_write", "audio_input", "output", "audio_output")
    return (
        *(of[name] for name in words),
        sum(claim << n for n, claim in enumerate(claims)),
        *(of["key_name"], of["team"], of["cache_key"], of["probability"] or 0.0),
        (of["counted_tokens"] or 0) + of["dropped_tokens"],
        *(of.get(f"{name}_tokens") or 0 for name in numbers),
        *(of["at_ms"], of["duration_us"], of["cost_nanousd"] or 0),
    )


def policy(**fields: Any) -> Policy:
    usual: dict[str, Any] = {
        "tier": "auto",
        "upstream": None,
        "threshold": 0.5,
        "max_prompt": None,
        "is_shortened": False,
        "max_completion": None,
        "ttl_ms": None,
    }
    return Policy(**{**usual, **fields})


def played(
    policy: Policy, *rows: Row, refuses_unpriced: bool = False, caps: Caps | None = None, **prices: float
) -> Outcome:
    table = {"small": 0.1, "large": 1.0, **prices}
    own = {name: Price(input=usd, output=5 * usd) for name, usd in table.items()}
    prices_of = PriceTable.build(own, at=datetime(2026, 11, 22, tzinfo=UTC))
    tiers = {"cheap": (SMALL,), "expensive": (LARGE,)}
    replay = Replay(Courses({"r": policy}, tiers, prices_of), refuses_unpriced, caps)
    reader = Reader()
    for at in range(0, len(rows), 2):  # part by part
        part = reader.columns([read(row) for row in rows[at : at + 2]])
        replay.play(part, reader.kinds, reader.payers)
    return total(replay.by_route)


def ledgers(*rows: Row) -> Outcome:
    reader, was = Reader(), dict[str, Outcome]()
    as_it_was(reader.columns([read(row) for row in rows]), reader.kinds, was)
    return total(was)


def test_the_configuration_that_made_the_ledger_comes_to_the_ledger() -> None:
    rows = [asked(), asked(tier="cheap", probability=0.2, target=SMALL, cost_nanousd=150_000)]
    again = played(policy(), *rows)
    assert again == ledgers(*rows)
    assert (again.cost_nanousd, again.cheap, again.expensive, again.moved_down) == (1_650_000, 1, 1, 0)


def test_a_higher_threshold_moves_requests_down_and_they_cost_less() -> None:
    moved = played(policy(threshold=0.7), asked())
    assert (moved.cheap, moved.moved_down, moved.cost_nanousd) == (1, 1, 150_000)


@pytest.mark.parametrize("reason", ["long", "foreign", "unfamiliar", "unsure", "conversation"])
def test_what_went_up_out_of_caution_stays_there(reason: str) -> None:
    assert played(policy(threshold=1.0), asked(reason=reason, probability=0.1)).expensive == 1


@pytest.mark.parametrize("reason", ["header", "rule"])
def test_what_was_no_classifiers_word_stays(reason: str) -> None:
    assert played(policy(threshold=0.0), asked(reason=reason, tier="cheap", probability=0.9)).cheap == 1


def test_a_request_that_was_never_judged_counts_as_expensive_and_is_said() -> None:
    found = played(policy(), asked(tier="none", reason="upstream", probability=None))
    assert (found.expensive, found.unjudged) == (1, 1)


def test_a_lower_cap_refuses_and_a_dropping_one_shortens() -> None:
    assert played(policy(max_prompt=999), asked()).refused == 1
    shortened = played(policy(max_prompt=400, is_shortened=True), asked())
    assert (shortened.refused, shortened.input_tokens, shortened.cost_nanousd) == (0, 400, 400_000 + 500_000)


def test_a_higher_cap_lets_through_what_was_refused_and_guesses_its_answer() -> None:
    found = played(policy(max_prompt=5000), asked(), asked(**REFUSED, rejected=TOO_LONG))
    assert (found.guessed, found.refused, found.cost_nanousd) == (1, 0, 3_000_000)


def test_other_refusals_stay() -> None:
    found = played(policy(), asked(rejected="cost_breaker_open", input_tokens=None, output_tokens=None))
    assert (found.refused, found.cost_nanousd) == (1, 0)


def test_a_completion_cap_cuts_answers() -> None:
    assert played(policy(max_completion=10), asked()).cost_nanousd == 1_000_000 + 10 * 5_000


def test_a_cache_hits_within_its_ttl_and_not_beyond() -> None:
    rows = [asked(at_ms=at, cache_key=7) for at in (0, HOUR_MS - 1, HOUR_MS)]
    assert played(policy(), *rows).hits == 0
    found = played(policy(ttl_ms=HOUR_MS), *rows)
    assert (found.hits, found.cost_nanousd) == (1, 3_000_000)
    assert played(policy(ttl_ms=2 * HOUR_MS), *rows).hits == 2


def test_a_failed_answer_is_not_stored_and_a_wish_for_a_fresh_one_is_kept() -> None:
    failed = asked(cache_key=7, is_success=False, input_tokens=None, output_tokens=None)
    fresh = asked(at_ms=1, cache_key=7, cache="bypass", cache_detail="no_cache")
    assert played(policy(ttl_ms=HOUR_MS), failed, fresh, asked(at_ms=2, cache_key=7)).hits == 1


def test_a_hit_of_the_ledger_is_paid_for_where_there_is_no_cache() -> None:
    hit = asked(cache="hit", cache_key=7, cost_nanousd=None, cost_source=None)
    assert played(policy(), hit).cost_nanousd == 1_500_000


def test_an_answer_of_one_tier_is_no_hit_for_the_other() -> None:
    rows = [
        asked(cache_key=7, probability=0.6),
        asked(at_ms=1, cache_key=7, probability=0.4, tier="cheap", target=SMALL),
    ]
    assert played(policy(ttl_ms=HOUR_MS), *rows).hits == 0


def test_other_prices_count_and_what_the_upstream_reported_stays() -> None:
    assert played(policy(), asked(), large=2.0).cost_nanousd == 3_000_000
    reported = asked(cost_nanousd=42, cost_source="reported")
    assert played(policy(), reported, large=2.0).cost_nanousd == 42


def test_models_without_a_price_are_counted_or_refused() -> None:
    nowhere = asked(tier="none", target="up/no-such-model-x")
    assert played(policy(tier=None, upstream="up"), nowhere).unpriced == 1
    assert played(policy(tier=None, upstream="up"), nowhere, refuses_unpriced=True).refused == 1


def test_a_route_that_is_gone_stays_what_it_was() -> None:
    found = played(policy(), asked(route="gone"))
    assert (found.unchanged, found.cost_nanousd, found.expensive) == (1, 1_500_000, 1)


# ------------------------------------------------------------------ limits and budgets


def caps(**route: Any) -> PastCaps:
    document = {"upstreams": {"up": {"base_url": "http://x/v1"}}, "routes": [{"name": "r", "upstream": "up", **route}]}
    return PastCaps(Config.model_validate_json(json.dumps(document)), [], since_ms=0)


def test_what_a_budget_has_no_room_for_is_refused_until_its_period_ends() -> None:
    rows = [asked(at_ms=at) for at in (0, 1, 2, HOUR_MS)]
    found = played(policy(), *rows, caps=caps(budgets=[{"usd": 0.003, "per": "hour"}]))
    assert (found.refused, found.capped, found.expensive, found.cost_nanousd) == (1, 1, 3, 4_500_000)


def test_hits_cost_a_budget_nothing_and_count_for_a_limit_of_requests() -> None:
    rows = [asked(at_ms=at, cache_key=7) for at in range(4)]
    cached = policy(ttl_ms=HOUR_MS)
    found = played(cached, *rows, caps=caps(budgets=[{"usd": 0.0015, "per": "hour"}]))
    assert (found.hits, found.refused, found.cost_nanousd) == (3, 0, 1_500_000)
    found = played(cached, *rows, caps=caps(limits={"requests_per_minute": 2}))
    assert (found.hits, found.capped) == (1, 2)


def test_past_a_soft_budget_requests_go_to_the_cheap_tier() -> None:
    soft = caps(budgets=[{"usd": 0.002, "per": "day", "on_exceeded": "cheap"}, {"usd": 1, "per": "day"}])
    found = played(policy(), *[asked(at_ms=at) for at in range(3)], caps=soft)
    assert (found.expensive, found.cheap, found.moved_down, found.cost_nanousd) == (1, 2, 2, 1_500_000 + 2 * 150_000)


def test_a_request_that_a_cap_refused_is_let_through_by_a_higher_one_and_its_answer_guessed() -> None:
    refused = asked(at_ms=1, rejected="insufficient_quota", input_tokens=None, output_tokens=None, cost_nanousd=None)
    assert ledgers(asked(), refused).capped == 1
    found = played(policy(), asked(), refused, caps=caps(budgets=[{"usd": 0.003, "per": "day"}]))
    assert (found.refused, found.guessed, found.cost_nanousd) == (0, 1, 3_000_000)
    found = played(policy(), asked(), refused, caps=caps(budgets=[{"usd": 0.0029, "per": "day"}]))
    assert (found.refused, found.capped, found.guessed) == (1, 1, 0)


def test_calls_that_overlap_need_slots_of_their_own() -> None:
    rows = [asked(at_ms=at) for at in (0, 1999, 2000)]
    found = played(policy(), *rows, caps=caps(limits={"concurrent": 1}))
    assert (found.capped, found.expensive) == (1, 2)
