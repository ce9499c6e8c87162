"""Usage times rates, in integers: what a call cost, to the nano-dollar."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from gateway.values import Cost, Rates, Usage

PICO_PER_NANO = 1000
FULL_PRICE = 1000
"""Thousandths of itself."""


def cost_nanousd(usage: Usage, rates: Rates) -> int:
    """What `usage` costs at `rates`, in nano-dollars; rounded once, half up.

    Tokens are taken in disjoint classes: input read from the upstream's own cache, written to it, heard, and the rest;
    output spoken, and the rest (reasoning is in it). An upstream that reports more of a class than there is in all
    is charged for what it calls by that name, and for no negative rest. Sound without a price of its own counts as
    text here: `price_call` says where that is no answer.
    """
    service_tiers = rates.service_tiers
    for most, dearer in rates.longer:
        if usage.input > most:
            rates = dearer
    pico = usage.cached_input * rates.cached_input
    rest = usage.input - usage.cached_input
    if usage.cache_write:
        pico += usage.cache_write * (rates.input if rates.cache_write is None else rates.cache_write)
        rest -= usage.cache_write
    if usage.audio_input:
        pico += usage.audio_input * (rates.input if rates.audio_input is None else rates.audio_input)
        rest -= usage.audio_input
    if rest > 0:
        pico += rest * rates.input
    if usage.audio_output:
        pico += usage.audio_output * (rates.output if rates.audio_output is None else rates.audio_output)
        pico += max(0, usage.output - usage.audio_output) * rates.output
    else:
        pico += usage.output * rates.output
    if usage.service_tier is None or not service_tiers:
        return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO
    share = service_tiers.get(usage.service_tier, FULL_PRICE)
    whole = PICO_PER_NANO * FULL_PRICE
    return (pico * share + whole // 2) // whole


def most_nanousd(prompt: int, completion: int, rates: Rates, *, service_tier: str | None = None) -> int:
    """The most that so many tokens of text may cost, all of them written to the upstream's cache where that is dearer.

    `service_tier`: what the request asks for. A dearer class counts; a cheaper one is not certain to be given.
    """
    writes = prompt if rates.cache_write is not None and rates.cache_write > rates.input else 0
    usage = Usage(prompt, completion, cache_write=writes)
    if service_tier is not None and rates.service_tiers.get(service_tier, FULL_PRICE) > FULL_PRICE:
        usage = replace(usage, service_tier=service_tier)
    return cost_nanousd(usage, rates)


def charged_nanousd(cost: Cost | None, usage: Usage, rates: Rates | None) -> int:
    """What a budget is charged for a call: its cost, or where a class of its tokens has no price, what text costs."""
    if cost is not None:
        return cost.nanousd
    return 0 if rates is None else cost_nanousd(usage, rates)


def is_priced(usage: Usage, rates: Rates) -> bool:
    """Whether `rates` has a price for every class of tokens in `usage`."""
    return not (
        (usage.audio_input and rates.audio_input is None) or (usage.audio_output and rates.audio_output is None)
    )


def waste_nanousd(tokens: Mapping[str, int], rates: Rates | None) -> dict[str, int]:
    """What wasted input cost, by kind; empty without a price.

    A `prefix` that the upstream could have cached costs no more than what its cache would have taken off.
    """
    if rates is None:
        return {}
    saved = replace(rates, input=max(0, rates.input - rates.cached_input))
    return {kind: cost_nanousd(Usage(n, 0), saved if kind == "prefix" else rates) for kind, n in tokens.items()}


def price_call(usage: Usage, rates: Rates | None, *, source: Literal["computed", "estimated"]) -> Cost | None:
    """The cost of one call; None where neither the upstream nor a price for all of its tokens says.

    What the upstream itself reports wins; else `source` says whose token counts these are.
    """
    if usage.cost_nanousd is not None:
        return Cost(usage.cost_nanousd, "reported")
    if rates is None or not is_priced(usage, rates):
        return None
    return Cost(cost_nanousd(usage, rates), source)
