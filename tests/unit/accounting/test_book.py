from typing import Literal

from gateway.accounting.book import book
from gateway.accounting.prices import PriceTable
from gateway.config.money import Price
from gateway.record import Record
from gateway.values import Cost, Decision, Target, Usage

CHEAP, DEAR, UNPRICED = Target("sim", "small"), Target("sim", "large"), Target("sim", "unheard-of")
PRICES = PriceTable({"small": Price(input=0.15, output=0.6), "large": Price(input=2.5, output=10)}, {})
USAGE = Usage(input=1_000, output=200)


def booked(
    target: Target | None,
    tier: str = "cheap",
    *,
    compare_with: Target | None = DEAR,
    usage: Usage = USAGE,
    source: Literal["computed", "estimated"] = "computed",
    dropped: int = 0,
    trimmed: int = 0,
) -> Record:
    decision = Decision((CHEAP,), tier, "classifier", compare_with=compare_with)
    record = Record("req-1", "chat", 0.0, 0.0, decision=decision, target=target)
    record.dropped_tokens, record.trimmed_tokens = dropped, trimmed
    book(record, usage, PRICES, source=source)
    return record


def test_the_cheap_tier_saves_what_the_dear_one_would_have_cost_more() -> None:
    record = booked(CHEAP)
    assert record.usage == USAGE
    assert record.cost == Cost(1_000 * 150 + 200 * 600, "computed")
    assert record.saved_nanousd == {"tier": 1_000 * 2_350 + 200 * 9_400}


def test_the_expensive_tier_saves_nothing() -> None:
    record = booked(DEAR, "expensive")
    assert record.cost == Cost(1_000 * 2_500 + 200 * 10_000, "computed")
    assert record.saved_nanousd == {}


def test_a_cheap_tier_that_came_out_dearer_saves_nothing() -> None:
    assert booked(DEAR, compare_with=CHEAP).saved_nanousd == {"tier": 0}


def test_a_saving_against_an_unknown_price_is_not_guessed() -> None:
    assert booked(CHEAP, compare_with=UNPRICED).saved_nanousd == {}
    assert booked(CHEAP, compare_with=None).saved_nanousd == {}


def test_what_was_left_out_of_the_prompt_saves_its_input_price() -> None:
    assert booked(DEAR, "expensive", dropped=90, trimmed=10).saved_nanousd == {"trim": 100 * 2_500}
    assert booked(UNPRICED, dropped=90).saved_nanousd == {}


def test_reported_usage_is_told_from_our_own_count() -> None:
    assert booked(UNPRICED).is_usage_reported
    assert not booked(DEAR, source="estimated").is_usage_reported


def test_an_unknown_price_is_flagged_not_booked_as_nothing() -> None:
    record = booked(UNPRICED)
    assert (record.cost, record.price_unknown, record.saved_nanousd) == (None, True, {})
    assert record.usage == USAGE


def test_a_reported_cost_needs_no_price() -> None:
    record = booked(UNPRICED, usage=Usage(input=1_000, output=200, cost_nanousd=77))
    assert (record.cost, record.price_unknown) == (Cost(77, "reported"), False)


def test_usage_without_an_answering_model_is_kept_and_not_priced() -> None:
    record = booked(None)
    assert (record.usage, record.cost, record.price_unknown) == (USAGE, None, False)
