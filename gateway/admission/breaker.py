"""The cost breaker: routes and keys that suddenly spend far more than they usually do are stepped down.

Each process watches its own requests and learns what is usual for itself; nothing is shared. `spending.py` has the
arithmetic.
"""

import logging
from collections import Counter, OrderedDict
from typing import NamedTuple

from gateway.admission.spending import STEPS, Change, Spending, Step
from gateway.clock import Clock
from gateway.config.model import Config, Route
from gateway.config.money import CostBreaker
from gateway.values import NANO, Caller

log = logging.getLogger(__name__)

_MOST_WATCHED = 2_000
"""Routes and keys, some 12 MB with half a day of minutes each; of keys that are issued at run time, those used last."""


class Allowed(NamedTuple):
    """How a request goes on, and the scopes for which it is a probe."""

    step: Step
    probes: tuple[str, ...] = ()


NORMAL = Allowed("normal")


class Breaker:
    def __init__(self, config: Config, breaker: CostBreaker, clock: Clock) -> None:
        self._config = breaker
        self.max_completion = breaker.max_completion
        """Of each request at the step `cap`."""
        self._clock = clock
        self._steps = {route.name: _steps((route,)) for route in config.routes}
        self._key_steps = _steps(config.routes)
        self._named = {f"key:{key.name}" for key in config.keys} | {f"route:{route.name}" for route in config.routes}
        self._watched: OrderedDict[str, Spending] = OrderedDict()
        self.taken: Counter[tuple[str, ...]] = Counter()
        """Steps by scope and where they led; keys that were issued at run time are one scope."""

    def adopt(self, other: "Breaker") -> None:
        """Go on from what `other` has learned and done, where both mean the same: for a new configuration."""
        self.taken = other.taken
        if self._config == other._config:
            self._watched = OrderedDict(
                (scope, spending)
                for scope, spending in other._watched.items()
                if spending.steps == self._steps_of(scope)
            )

    def allowed(self, caller: Caller, route: str) -> Allowed:
        """The furthest step down of the route and the key."""
        step: Step = "normal"
        probes: tuple[str, ...] = ()
        now_s = self._clock.monotonic()
        for scope in _scopes(caller, route):
            spending = self._watched.get(scope)
            if spending is None:
                continue
            found, is_probe, change = spending.ask(now_s)
            self._tell(scope, change)
            probes += (scope,) if is_probe else ()
            step = max(step, found, key=STEPS.index)
        return Allowed(step, probes) if step != "normal" or probes else NORMAL

    def spend(self, caller: Caller, route: str, nanousd: int, probes: tuple[str, ...]) -> None:
        """A request is over that cost `nanousd`."""
        now_s = self._clock.monotonic()
        for scope in _scopes(caller, route):
            spending = self._watched.get(scope)
            if spending is None:
                spending = self._watched[scope] = Spending(self._config, self._steps_of(scope), now_s)
                if len(self._watched) > _MOST_WATCHED:
                    self._watched.popitem(last=False)
            self._watched.move_to_end(scope)
            self._tell(scope, spending.spend(now_s, nanousd, was_probe=scope in probes))

    def retry_s(self, caller: Caller, route: str) -> float:
        """When a refused request may be let through, at the earliest."""
        now_s = self._clock.monotonic()
        watched = [self._watched[scope] for scope in _scopes(caller, route) if scope in self._watched]
        return max((spending.retry_s(now_s) for spending in watched if spending.step != "normal"), default=1.0)

    def levels(self) -> dict[tuple[str, ...], float]:
        """`(scope,)` → 0 for normal, to 4 for refuse; of all keys that were issued at run time the highest."""
        found: dict[tuple[str, ...], float] = {}
        for scope, spending in self._watched.items():
            label = (self._label(scope),)
            found[label] = max(found.get(label, 0), STEPS.index(spending.step))
        return found

    def _steps_of(self, scope: str) -> tuple[Step, ...]:
        kind, _, name = scope.partition(":")
        return self._steps.get(name, ()) if kind == "route" else self._key_steps

    def _tell(self, scope: str, change: Change | None) -> None:
        if change is None:
            return
        self.taken[self._label(scope), change.after] += 1
        spending, most, usual = (amount / NANO for amount in (change.spending, change.most, change.usual))
        log.warning(
            "cost breaker: %s goes from %s to %s: $%.4f a minute, usual are $%.4f and at most $%.4f",
            *(scope, change.before, change.after, spending, usual, most),
        )

    def _label(self, scope: str) -> str:
        return scope if scope in self._named else "key:issued"


def _scopes(caller: Caller, route: str) -> tuple[str, ...]:
    """Callers without a key of ours are watched by their route alone: anyone can make up more of them."""
    has_key = caller.name != "anonymous" and not caller.has_own_credentials
    return (f"route:{route}", f"key:{caller.name}") if has_key else (f"route:{route}",)


def _steps(routes: tuple[Route, ...]) -> tuple[Step, ...]:
    """Those that can help on one of `routes`."""
    steps: list[Step] = ["normal"]
    if any(route.tier == "auto" for route in routes):
        steps.append("cheap")
    steps.append("cap")
    if any(route.cache is not None for route in routes):
        steps.append("cache_only")
    return (*steps, "refuse")
