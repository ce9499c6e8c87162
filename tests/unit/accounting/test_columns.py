"""What calls cost, many at once: the same as one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounting.asked import Tokens
from gateway.accounting.columns import PriceColumns
from gateway.accounting.cost import cost_nanousd, is_priced
from gateway.values import Rates, Usage

AMOUNTS = st.integers(0, 200_000)
PICO = st.integers(0, 200_000_000)
"""Up to $200 a million tokens."""
MAYBE = st.none() | PICO
STEP = st.builds(Rates, PICO, PICO, PICO, MAYBE, MAYBE, MAYBE)
STEPS = st.lists(st.tuples(st.integers(1, 150_000), STEP), max_size=3, unique_by=lambda step: step[0])


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    base, steps = draw(STEP), sorted(draw(STEPS), key=lambda step: step[0])
    sound = base.audio_input, base.audio_output
    service_tiers = {"flex": draw(st.integers(0, 100_000))}
    return Rates(base.input, base.cached_input, base.output, base.cache_write, *sound, tuple(steps), service_tiers)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    classes = {name: draw(AMOUNTS) for name in ("cached_input", "cache_write", "audio_input", "audio_output")}
    return Usage(draw(AMOUNTS), draw(AMOUNTS), **classes, service_tier=draw(st.sampled_from([None, "flex", "other"])))


@given(st.lists(st.tuples(usages(), rates()), min_size=1, max_size=20))
def test_columns_cost_what_calls_cost(calls: list[tuple[Usage, Rates]]) -> None:
    prices = PriceColumns()
    numbers = np.array([prices.add(each) for _, each in calls])
    of = [usage for usage, _ in calls]
    classes = ("input", "cached_input", "cache_write", "audio_input", "output", "audio_output")
    tokens = Tokens(*(np.array([getattr(usage, name) for usage in of], np.int64) for name in classes))
    shares = np.array([each.service_tiers.get(usage.service_tier or "", 1000) for usage, each in calls], np.int64)
    assert prices.cost_nanousd(tokens, numbers, shares).tolist() == [cost_nanousd(*call) for call in calls]
    assert prices.is_priced(tokens, numbers).tolist() == [is_priced(*call) for call in calls]
