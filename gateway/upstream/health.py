"""Whom to ask first, and whom next (pure: time and chance come in as arguments).

Two things are remembered: a breaker for each target that has failed lately, and for each upstream how
many calls it may still be sent beyond one a request. A first call of a request to an upstream is never
extra load, also when another upstream has failed it before; a second one is, and is paid for out of
that upstream's budget. While nothing fails there are no breakers, and all of this costs one look at an
empty dictionary.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.config.model import RetryPolicy, Upstream
from gateway.record import Attempt
from gateway.upstream.backoff import LONGEST_PAUSE_S, pause_s
from gateway.upstream.breaker import Breaker
from gateway.upstream.classify import Again
from gateway.values import Target

BURST = 10
"""Retries that may come at once, so that an upstream with little traffic has some too."""
MAX_BREAKERS = 1000
"""Targets of `upstream:` routes are named by clients, so they are bounded."""


class RetryBudget:
    """Calls beyond the first of a request: `ratio` of those, over time."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._left = float(BURST) if ratio else 0.0
        self._retries = 0
        self._firsts = 0

    def take(self, calls: int) -> bool:
        """Ask for one, `calls` having been made so far, retries included; False: it is not to be made."""
        firsts = calls - self._retries
        self._left = min(BURST, self._left + (firsts - self._firsts) * self._ratio)
        self._firsts = firsts
        if self._left < 1:
            return False
        self._left -= 1
        self._retries += 1
        return True


class Health:
    """What is known of the upstreams and their targets."""

    def __init__(
        self,
        configs: Mapping[str, Upstream],
        calls: Callable[[str], int],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`calls` tells how many calls an upstream has been sent so far."""
        self.breakers: dict[Target, Breaker] = {}
        """Of targets that have failed lately; empty while all is well."""
        self._configs = configs
        self._calls = calls
        self._chance = chance
        self._budgets = {name: RetryBudget(config.retries.budget_ratio) for name, config in configs.items()}

    def adopt(self, other: "Health") -> None:
        """Go on with what `other` knows of the upstreams that both have, and that are configured alike."""
        same = {name for name, config in self._configs.items() if other._configs.get(name) == config}
        self.breakers.update({target: breaker for target, breaker in other.breakers.items() if target.upstream in same})
        self._budgets.update({name: budget for name, budget in other._budgets.items() if name in same})

    def first(self, targets: Sequence[Target], now: float) -> Target:
        """The first that its breaker lets through. The last one standing is asked whatever its breaker says:

        where none would let a call through, it is the one that has been left alone longest.
        """
        for target in targets:
            if self._allows(target, now):
                return target
        return min(targets, key=lambda target: self.breakers[target].opened_at or now)

    def is_up(self, target: Target) -> bool:
        """Whether a call to `target` would be let through just now."""
        return not self.breakers or self._allows(target, time.monotonic())

    def next(
        self, targets: Sequence[Target], attempts: Sequence[Attempt], again: Again, asked_s: float | None, now: float
    ) -> tuple[Target, float] | None:
        """After `attempts`, the last of which ended so: whom to ask, and after how many seconds; None: nobody.

        `asked_s` is what the last one's Retry-After says.
        """
        policy = self._policy(targets[0])
        if again is Again.NOWHERE or len(attempts) >= policy.attempts:
            return None
        asked = {attempt.target for attempt in attempts}
        for target in targets:
            if target not in asked and self._allows(target, now) and self._may_add(target, asked):
                return target, 0.0
        last = attempts[-1].target
        if again is Again.ELSEWHERE or not self._is_closed(last, now):
            return None
        wait_s = pause_s(len(attempts) - 1, policy.backoff_s, asked_s=asked_s, chance=self._chance())
        if wait_s > LONGEST_PAUSE_S or not self._may_add(last, asked):
            return None
        return last, wait_s

    def begin(self, target: Target, now: float) -> bool:
        """A call begins; whether it is a probe, as `end` wants to know."""
        breaker = self.breakers.get(target)
        return breaker is not None and breaker.begin(now)

    def end(self, target: Target, now: float, *, is_fault: bool | None, is_probe: bool = False) -> None:
        """A call has ended. Needs no telling of one that went well while there are no breakers."""
        breaker = self.breakers.get(target)
        if breaker is None:
            if not is_fault:
                return
            breaker = self._remember(target, now)
        breaker.end(now, is_fault=is_fault, is_probe=is_probe)
        if not is_fault and breaker.is_idle(now):
            del self.breakers[target]

    def open_targets(self, now: float) -> Iterator[Target]:
        """Those that are left alone, or are being tried again."""
        return (target for target, breaker in self.breakers.items() if breaker.state(now) != "closed")

    def _policy(self, target: Target) -> RetryPolicy:
        return self._configs[target.upstream].retries

    def _allows(self, target: Target, now: float) -> bool:
        breaker = self.breakers.get(target)
        return breaker is None or breaker.allows(now)

    def _is_closed(self, target: Target, now: float) -> bool:
        breaker = self.breakers.get(target)
        return breaker is None or breaker.state(now) == "closed"

    def _may_add(self, target: Target, asked: set[Target]) -> bool:
        """May a call go to `target` in a request that has `asked` others, or the same one?"""
        if all(other.upstream != target.upstream for other in asked):
            return True
        return self._budgets[target.upstream].take(self._calls(target.upstream))

    def _remember(self, target: Target, now: float) -> Breaker:
        if len(self.breakers) >= MAX_BREAKERS:
            idle = [other for other, breaker in self.breakers.items() if breaker.is_idle(now)]
            for other in idle or [next(iter(self.breakers))]:
                del self.breakers[other]
        breaker = self.breakers[target] = Breaker(self._configs[target.upstream].breaker)
        return breaker
