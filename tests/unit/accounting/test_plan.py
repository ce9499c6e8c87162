"""What another configuration would have made of requests, row by row."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.accounting.plan import TOO_LONG, Asked, Outcome, Policy, Replay, as_it_was, total
from gateway.accounting.prices import PriceTable
from gateway.config.money import Price

SMALL, LARGE = "up/small", "up/large"
HOUR_MS = 3_600_000


def asked(**fields: Any) -> Asked:
    """A request of 1,000 tokens that the large model answered with 100, for 1,500,000 nano-dollars."""
    usual: dict[str, Any] = {
        **dict.fromkeys(Asked._fields, None),
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
    }
    return Asked(**{**usual, **fields})


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


def played(policy: Policy, *rows: Asked, refuses_unpriced: bool = False, **prices: float) -> Outcome:
    table = {"small": 0.1, "large": 1.0, **prices}
    own = {name: Price(input=usd, output=5 * usd) for name, usd in table.items()}
    replay = Replay(
        {"r": policy},
        {"cheap": (SMALL,), "expensive": (LARGE,)},
        PriceTable.build(own, at=datetime(2026, 11, 22, tzinfo=UTC)),
        refuses_unpriced,
    )
    for row in rows:
        replay.play(row)
    return total(replay.by_route)


def test_the_configuration_that_made_the_ledger_comes_to_the_ledger() -> None:
    rows = [asked(), asked(tier="cheap", probability=0.2, target=SMALL, cost_nanousd=150_000)]
    was: dict[str, Outcome] = {}
    for row in rows:
        as_it_was(row, was)
    again = played(policy(), *rows)
    assert again == total(was)
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
    refused = asked(rejected=TOO_LONG, input_tokens=None, output_tokens=None, cost_nanousd=None, tier=None, reason=None,
                    probability=None, target=None, is_success=False)  # fmt: skip
    found = played(policy(max_prompt=5000), asked(), refused)
    assert (found.guessed, found.refused, found.cost_nanousd) == (1, 0, 3_000_000)


def test_other_refusals_stay() -> None:
    found = played(policy(), asked(rejected="rate_limit_exceeded", input_tokens=None, output_tokens=None))
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
