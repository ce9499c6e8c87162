"""The first upstream fails 30% of its calls before their first byte, the second is healthy; then both are down.

What clients notice, and what it costs the upstreams in calls.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import uvloop

from tests.chaos.clients import Outcome, ask, chat
from tests.chaos.faulty import BEFORE, MIDWAY, Failing, healthy
from tests.chaos.figures import Figure
from tests.chaos.gateways import Running, config, running
from tests.support.upstream import Reset, ScriptedUpstream

CALLS = 3000
STREAMS = 600
CALLS_WHEN_ALL_IS_DOWN = 600
AT_ONCE = 24
DEADLINE_S = 5.0


async def some_fail() -> list[Figure]:
    one, two = ScriptedUpstream(then=Failing(0.30, BEFORE)), ScriptedUpstream(then=healthy)
    async with one, two, running(_both(one, two)) as gw:
        outcomes, _ = await _ask_all(gw, CALLS)
    errors = sum(not outcome.is_success for outcome in outcomes)
    per_call = (len(one.requests) + len(two.requests)) / CALLS
    return [
        Figure(
            f"30% of calls fail in {len(BEFORE)} ways: client errors",
            f"{errors} of {CALLS:,}",
            "under 0.1%",
            errors < 0.001 * CALLS,
        ),
        Figure("upstream calls per call", f"{per_call:.2f}", "at most 1.6", per_call <= 1.6),
    ]


async def some_are_cut() -> list[Figure]:
    """Streams, on a route that has them continued."""
    one, two = ScriptedUpstream(then=Failing(0.30, MIDWAY)), ScriptedUpstream(then=healthy)
    route = {"name": "default", "tier": "cheap", "on_cut": "continue"}
    async with one, two, running({**_both(one, two), "routes": [route]}) as gw:
        outcomes, _ = await _ask_all(gw, STREAMS, is_stream=lambda number: True)
    whole = sum(outcome.is_success for outcome in outcomes)
    told = f"30% of streams cut in {len(MIDWAY)} ways, and continued: whole"
    return [Figure(told, f"{whole} of {STREAMS}", "all", whole == STREAMS)]


async def all_is_down() -> list[Figure]:
    one, two = ScriptedUpstream(then=Failing(1.0, BEFORE)), ScriptedUpstream(then=Reset())
    async with one, two, running(_both(one, two)) as gw:
        outcomes, waits_s = await _ask_all(gw, CALLS_WHEN_ALL_IS_DOWN)
    per_call = (len(one.requests) + len(two.requests)) / CALLS_WHEN_ALL_IS_DOWN
    well_formed = sum(outcome.is_honest and outcome.status >= 400 for outcome in outcomes)
    return [
        Figure("all down: upstream calls per call", f"{per_call:.2f}", "at most 2", per_call <= 2),
        Figure("well-formed errors", f"{well_formed} of {len(outcomes)}", "all", well_formed == len(outcomes)),
        Figure("the slowest of them", f"{max(waits_s):.2f} s", f"within {DEADLINE_S:g} s", max(waits_s) < DEADLINE_S),
    ]


def _both(one: ScriptedUpstream, two: ScriptedUpstream) -> dict[str, Any]:
    settings: Mapping[str, Any] = {"total_timeout_s": DEADLINE_S}
    return config({"one": {"base_url": one.base_url, **settings}, "two": {"base_url": two.base_url, **settings}})


async def _ask_all(
    gw: Running, calls: int, is_stream: Callable[[int], bool] = lambda number: number % 2 == 0
) -> tuple[list[Outcome], list[float]]:
    """Half of them streamed, some at a time."""
    outcomes: list[Outcome] = []
    waits_s: list[float] = []

    async def hand(first: int) -> None:
        for number in range(first, calls, AT_ONCE):
            began = time.monotonic()
            outcomes.append(await ask(gw.http, gw.url, chat(f"question {number}", stream=is_stream(number))))
            waits_s.append(time.monotonic() - began)

    await asyncio.gather(*(hand(first) for first in range(AT_ONCE)))
    return outcomes, waits_s


def main() -> list[Figure]:
    return [*uvloop.run(some_fail()), *uvloop.run(some_are_cut()), *uvloop.run(all_is_down())]
