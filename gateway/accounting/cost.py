"""Usage times rates, in integers: what a call cost, to the nano-dollar."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from gateway.values import Cost, Rates, Usage

PICO_PER_NANO = 1000


def cost_nanousd(usage: Usage, rates: Rates) -> int:
    """What `usage` costs at `rates`, in nano-dollars; rounded once, half up.

    Tokens are taken in disjoint classes: input read from the upstream's own cache, the rest of the
    input, and output (reasoning is in it). An upstream that reports more cached input than input is
    charged for what it calls cached, and for no negative rest.
    """
    uncached = max(0, usage.input - usage.cached_input)
    pico = uncached * rates.input + usage.cached_input * rates.cached_input + usage.output * rates.output
    return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO


def waste_nanousd(tokens: Mapping[str, int], rates: Rates | None) -> dict[str, int]:
    """What wasted input cost, by kind; empty without a price.

    A `prefix` that the upstream could have cached costs no more than what its cache would have taken off.
    """
    if rates is None:
        return {}
    saved = replace(rates, input=max(0, rates.input - rates.cached_input))
    return {kind: cost_nanousd(Usage(n, 0), saved if kind == "prefix" else rates) for kind, n in tokens.items()}


def price_call(usage: Usage, rates: Rates | None, *, source: Literal["computed", "estimated"]) -> Cost | None:
    """The cost of one call; None where neither the upstream nor a price says.

    What the upstream itself reports wins; else `source` says whose token counts these are.
    """
    if usage.cost_nanousd is not None:
        return Cost(usage.cost_nanousd, "reported")
    if rates is None:
        return None
    return Cost(cost_nanousd(usage, rates), source)
