"""Numbers that cross from one process to another: those of each worker, added up where Prometheus asks.

A snapshot is everything a process has counted so far, so one that gets lost does no harm. Counters
of a process that is gone stay in the sums, for a counter never falls; its states go with it.
"""

from collections.abc import Callable, Iterable, Mapping

import orjson

from gateway.telemetry.instruments import Counter, Example, Histogram, Instrument, Labels, Reading
from gateway.telemetry.metrics import Metrics

Numbers = dict[Labels, list[float]]
State = dict[str, Numbers]
"""Name of an instrument → what it holds."""
Examples = dict[str, dict[Labels, dict[int, Example]]]
"""Name of a histogram → the examples of its buckets."""
_EXAMPLES = "examples"

_NOT_SUMMED: Mapping[str, Callable[[Iterable[float]], float]] = {
    "gateway_store_up": min,
    "gateway_ledger_up": min,
    "gateway_budget_remaining_usd": min,
    "gateway_breaker_open": max,
    "gateway_keys_age_seconds": max,
    "gateway_prompts": max,
    "gateway_prompt_versions": max,
    "gateway_prompts_age_seconds": max,
    "gateway_cost_breaker_step": max,
    "gateway_router_threshold": min,
    "gateway_router_drift": max,
    "gateway_router_brier": max,
    "gateway_router_bias": max,
    "gateway_semantic_wrong_ratio": max,
    "gateway_semantic_state": max,
    "gateway_config_info": max,
    "gateway_build_info": max,
}
"""States that every process sees for itself and that do not add up."""


def take(metrics: Metrics) -> bytes:
    """All numbers of this process, as JSON: name → [[label values, numbers], …], and the examples beside them."""
    numbers = {each.name: list(_numbers(each).items()) for each in metrics.table}
    examples = {
        each.name: [(labels, list(found.items())) for labels, found in each.examples.items()]
        for each in metrics.table
        if isinstance(each, Histogram) and each.examples
    }
    return orjson.dumps({**numbers, _EXAMPLES: examples})


def _numbers(instrument: Instrument) -> Mapping[Labels, list[float]] | Mapping[Labels, list[int]]:
    if isinstance(instrument, Counter | Histogram):
        return instrument.children
    assert isinstance(instrument, Reading)
    return {labels: [value] for labels, value in (instrument.read() if instrument.read else {}).items()}


class Totals:
    """What several processes counted, as one exposition."""

    def __init__(self) -> None:
        self._metrics = Metrics(lambda _: "")  # for its table; nothing is observed here
        self._of: dict[int, State] = {}
        self._examples: dict[int, Examples] = {}
        self._gone: State = {}

    def update(self, process: int, snapshot: bytes) -> None:
        """Put what `process` says in place of what it said before."""
        found = orjson.loads(snapshot)
        self._examples[process] = {
            name: {tuple(labels): {at: tuple(one) for at, one in some} for labels, some in children}
            for name, children in found.pop(_EXAMPLES).items()
        }
        self._of[process] = {
            name: {tuple(labels): numbers for labels, numbers in children} for name, children in found.items()
        }

    def leave(self, process: int) -> None:
        """`process` has ended; what it counted stays counted."""
        state = self._of.pop(process, {})
        self._examples.pop(process, None)
        for instrument in self._metrics.table:
            if instrument.kind != "gauge":
                _add(self._gone.setdefault(instrument.name, {}), state.get(instrument.name, {}))

    def render(self, accept: str) -> tuple[bytes, str]:
        """As `Metrics.render`."""
        for instrument in self._metrics.table:
            numbers = self._combined(instrument)
            if isinstance(instrument, Reading):
                instrument.read = {labels: value for labels, (value,) in numbers.items()}.copy
            elif isinstance(instrument, Histogram):
                instrument.children = numbers
                instrument.examples = self._newest_examples(instrument.name)
            elif isinstance(instrument, Counter):
                instrument.children = {labels: [int(value)] for labels, (value,) in numbers.items()}
        return self._metrics.render(accept)

    def _newest_examples(self, name: str) -> dict[Labels, dict[int, Example]]:
        newest: dict[Labels, dict[int, Example]] = {}
        for process in self._examples.values():
            for labels, examples in process.get(name, {}).items():
                known = newest.setdefault(labels, {})
                for bucket, example in examples.items():
                    known[bucket] = max(known.get(bucket, example), example, key=lambda one: one[2])
        return newest

    def _combined(self, instrument: Instrument) -> Numbers:
        states = [state.get(instrument.name, {}) for state in (self._gone, *self._of.values())]
        combine = _NOT_SUMMED.get(instrument.name)
        total: Numbers = {}
        if combine is None:
            for state in states:
                _add(total, state)
        else:
            for labels in {labels for state in states for labels in state}:
                total[labels] = [combine(state[labels][0] for state in states if labels in state)]
        return total


def _add(total: Numbers, more: Numbers) -> None:
    for labels, numbers in more.items():
        known = total.get(labels)
        total[labels] = list(numbers) if known is None else [a + b for a, b in zip(known, numbers, strict=True)]
