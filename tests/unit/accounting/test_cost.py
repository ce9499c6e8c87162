from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounting.cost import charged_nanousd, cost_nanousd, most_nanousd, price_call, waste_nanousd
from gateway.values import Cost, Rates, Usage

GPT_4O_MINI = Rates(input=150_000, cached_input=75_000, output=600_000)

tokens = st.integers(0, 10_000_000)
prices = st.integers(0, 1_000_000_000)
rates = st.builds(Rates, input=prices, cached_input=prices, output=prices)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    paid = draw(tokens)
    return Usage(input=paid, output=draw(tokens), cached_input=draw(st.integers(0, paid)))


def test_a_call_costs_its_tokens_times_their_prices() -> None:
    usage = Usage(input=1_000, output=200, cached_input=400, reasoning=150)
    assert cost_nanousd(usage, GPT_4O_MINI) == 600 * 150 + 400 * 75 + 200 * 600


@pytest.mark.parametrize(("pico", "nano"), [(0, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2), (37_500, 38)])
def test_half_a_nano_dollar_rounds_up(pico: int, nano: int) -> None:
    assert cost_nanousd(Usage(input=1, output=0), Rates(pico, 0, 0)) == nano


def test_a_call_is_rounded_once() -> None:
    usage = Usage(input=2, output=1, cached_input=1)
    assert cost_nanousd(usage, Rates(400, 400, 400)) == 1


def test_more_cached_than_input_makes_no_negative_rest() -> None:
    assert cost_nanousd(Usage(input=100, output=0, cached_input=300), GPT_4O_MINI) == 300 * 75


@given(usages(), rates)
def test_the_cost_is_within_half_a_nano_dollar_of_the_exact_sum(usage: Usage, rates: Rates) -> None:
    exact = Fraction(
        (usage.input - usage.cached_input) * rates.input
        + usage.cached_input * rates.cached_input
        + usage.output * rates.output,
        1_000,
    )
    assert abs(cost_nanousd(usage, rates) - exact) <= Fraction(1, 2)


@given(usages(), rates, tokens)
def test_more_output_never_costs_less(usage: Usage, rates: Rates, more: int) -> None:
    larger = Usage(input=usage.input, output=usage.output + more, cached_input=usage.cached_input)
    assert cost_nanousd(larger, rates) >= cost_nanousd(usage, rates) >= 0


@given(usages(), prices)
def test_with_one_price_for_all_the_classes_do_not_matter(usage: Usage, price: int) -> None:
    flat = Rates(price, price, price)
    assert cost_nanousd(usage, flat) == cost_nanousd(Usage(input=usage.input + usage.output, output=0), flat)


CLASSES = Rates(1_000, 100, 4_000, cache_write=1_250, audio_input=10_000, audio_output=20_000)


def test_every_class_of_tokens_has_its_own_price() -> None:
    usage = Usage(1000, 100, cached_input=400, cache_write=300, audio_input=200, audio_output=60, reasoning=30)
    assert cost_nanousd(usage, CLASSES) == 400 // 10 + 300 * 1_250 // 1000 + 200 * 10 + 100 * 1 + 60 * 20 + 40 * 4


def test_writes_to_the_upstreams_cache_cost_as_input_where_nobody_says_otherwise() -> None:
    assert cost_nanousd(Usage(1000, 0, cache_write=600), Rates(1_000, 100, 4_000)) == 1000


def test_a_long_prompt_pays_its_step_for_the_whole_request() -> None:
    steps = Rates(1_000, 100, 4_000, longer=((1000, Rates(2_000, 200, 6_000)), (5000, Rates(3_000, 300, 9_000))))
    assert cost_nanousd(Usage(1000, 10), steps) == 1000 + 40
    assert cost_nanousd(Usage(1001, 10), steps) == 2002 + 60
    assert cost_nanousd(Usage(6000, 10, cached_input=1000), steps) == 15_000 + 300 + 90


def test_a_class_of_service_multiplies_also_past_a_step() -> None:
    rates = Rates(1_000, 100, 4_000, longer=((1000, Rates(2_000, 200, 6_000)),), service_tiers={"flex": 500})
    assert cost_nanousd(Usage(100, 10, service_tier="flex"), rates) == 70
    assert cost_nanousd(Usage(2000, 0, service_tier="flex"), rates) == 2000
    assert cost_nanousd(Usage(100, 10, service_tier="scale"), rates) == 140


def test_a_discount_is_rounded_once_with_the_rest() -> None:
    assert cost_nanousd(Usage(3, 0, service_tier="flex"), Rates(333, 0, 0, service_tiers={"flex": 500})) == 0
    assert cost_nanousd(Usage(4, 0, service_tier="flex"), Rates(333, 0, 0, service_tiers={"flex": 500})) == 1


def test_the_most_that_a_request_may_cost_counts_dear_writes_and_dear_classes_only() -> None:
    rates = Rates(1_000, 100, 4_000, cache_write=1_250, service_tiers={"flex": 500, "priority": 2000})
    assert most_nanousd(1000, 10, rates) == 1250 + 40
    assert most_nanousd(1000, 10, rates, service_tier="priority") == 2 * (1250 + 40)
    assert most_nanousd(1000, 10, rates, service_tier="flex") == 1250 + 40
    assert most_nanousd(1000, 10, Rates(1_000, 100, 4_000, cache_write=900)) == 1000 + 40


def test_a_budget_is_charged_the_text_of_what_has_no_price() -> None:
    heard = Usage(1000, 10, audio_input=1000)
    assert charged_nanousd(None, heard, GPT_4O_MINI) == 150_000 + 6_000
    assert charged_nanousd(Cost(7, "reported"), heard, GPT_4O_MINI) == 7
    assert charged_nanousd(None, heard, None) == 0


def test_sound_without_a_price_is_no_text() -> None:
    heard = Usage(1000, 0, audio_input=1)
    assert price_call(heard, GPT_4O_MINI, source="computed") is None
    assert price_call(heard, CLASSES, source="computed") == Cost(999 + 10, "computed")
    assert price_call(Usage(1, 1, audio_output=1), GPT_4O_MINI, source="computed") is None


def test_what_the_upstream_reports_wins() -> None:
    usage = Usage(input=1_000, output=0, cost_nanousd=7)
    assert price_call(usage, GPT_4O_MINI, source="computed") == Cost(7, "reported")


def test_whose_count_it_was_is_kept() -> None:
    usage = Usage(input=1_000, output=0)
    assert price_call(usage, GPT_4O_MINI, source="computed") == Cost(150_000, "computed")
    assert price_call(usage, GPT_4O_MINI, source="estimated") == Cost(150_000, "estimated")


def test_without_a_price_nobody_knows_the_cost_but_an_upstream_that_reports_it() -> None:
    assert price_call(Usage(input=1_000, output=0), None, source="computed") is None
    assert price_call(Usage(input=1_000, output=0, cost_nanousd=7), None, source="computed") == Cost(7, "reported")


def test_waste_costs_its_input_price_and_a_prefix_what_the_upstreams_cache_would_take_off() -> None:
    rates = Rates(input=2_500_000, cached_input=250_000, output=10_000_000)
    assert waste_nanousd({"json": 100, "prefix": 1_000}, rates) == {"json": 250_000, "prefix": 2_250_000}
    assert waste_nanousd({"json": 100}, None) == {}
