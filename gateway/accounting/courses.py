"""What a configuration makes of each kind of request: all that needs no number of the request itself.

A course has two ways, to the cheap tier and to the expensive one, and a threshold that the request's probability is
held against: below it the first way is gone, from it on the second. Where nothing is left to decide, it is infinite.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from gateway.accounting.asked import Booleans, Floats, Integers, Kind
from gateway.accounting.columns import PriceColumns
from gateway.accounting.cost import FULL_PRICE
from gateway.accounting.prices import PriceTable
from gateway.config.model import Route
from gateway.value import value
from gateway.values import Rates, Target

CHEAP, EXPENSIVE, NO_TIER = range(3)
TIERS = {"cheap": CHEAP, "expensive": EXPENSIVE}
TOO_LONG = "context_length_exceeded"
CAPPED = ("rate_limit_exceeded", "insufficient_quota")
"""What limits and budgets refused."""
_DECIDED_ANEW = (None, TOO_LONG, *CAPPED)
_AS_ASKED = ("header", "rule")
"""Reasons of a decision that no threshold has a part in."""
_UP = ("long", "foreign", "unfamiliar", "unsure", "conversation")
"""Reasons that send a question up whatever its probability."""
_NEVER = np.iinfo(np.int64).max


@value
class Policy:
    """What a configuration does with the requests of one route, as far as it can be replayed."""

    tier: str | None
    """None: it goes to `upstream`, by the client's own model name."""
    upstream: str | None
    threshold: float
    """Expensive from this probability on, where `tier` is auto."""
    max_prompt: int | None
    is_shortened: bool
    """A longer prompt loses its oldest turns and is not refused."""
    max_completion: int | None
    ttl_ms: int | None
    """None: nothing is cached."""


def policy_of(route: Route, threshold: float) -> Policy:
    tokens, cache = route.tokens, route.cache
    return Policy(
        tier=route.tier,
        upstream=route.upstream,
        threshold=threshold,
        max_prompt=tokens.max_prompt,
        is_shortened=tokens.over_prompt == "drop_oldest",
        max_completion=tokens.max_completion,
        ttl_ms=None if cache is None else cache.ttl_s * 1000,
    )


class Way(NamedTuple):
    """One of the two ways that a request of a kind may go."""

    tier: int
    rates: int
    """Number of its target's rates; of any where it `is_unpriced`."""
    thousandths: int
    """What its class of service multiplies them by."""
    is_unpriced: bool
    is_reported: bool
    """The upstream itself said what the call cost, and it would be the same call."""


class Course(NamedTuple):
    ways: tuple[Way, Way]
    stays: bool
    """Nothing is decided anew."""
    threshold: float
    is_auto: bool
    """The gateway chooses its tier, so that a soft budget may send it down."""
    is_unjudged: bool
    max_prompt: int
    is_shortened: bool
    max_completion: int
    ttl_ms: int
    may_hit: bool
    is_stored: bool
    is_guess: bool
    """It was refused: how long its answer would have been nobody knows."""
    is_answered: bool
    """Otherwise it failed before anything was paid for."""
    is_elsewhere: bool
    """Its route is not in the configuration."""


_STAYS = Course(
    ways=(Way(NO_TIER, 0, FULL_PRICE, True, False),) * 2,
    stays=True,
    threshold=-inf,
    is_auto=False,
    is_unjudged=False,
    max_prompt=_NEVER,
    is_shortened=False,
    max_completion=_NEVER,
    ttl_ms=0,
    may_hit=False,
    is_stored=False,
    is_guess=False,
    is_answered=False,
    is_elsewhere=False,
)


class Courses:
    """The courses of all kinds of a ledger, as columns by the number of the kind; of ways, two rows a kind."""

    stays: Booleans
    threshold: Floats
    is_auto: Booleans
    is_unjudged: Booleans
    max_prompt: Integers
    is_shortened: Booleans
    max_completion: Integers
    ttl_ms: Integers
    may_hit: Booleans
    is_stored: Booleans
    is_guess: Booleans
    is_answered: Booleans
    is_elsewhere: Booleans
    tier: Integers
    rates: Integers
    thousandths: Integers
    is_unpriced: Booleans
    is_reported: Booleans

    def __init__(self, policies: Mapping[str, Policy], tiers: Mapping[str, tuple[str, ...]], table: PriceTable) -> None:
        """`tiers`: tier → its targets, as `upstream/model`."""
        self._policies = policies
        self._tiers = tiers
        self._table = table
        self.prices = PriceColumns()
        self.prices.add(Rates(0, 0, 0))  # of targets that have none, and that nothing is charged for
        self._rates: dict[str, tuple[int, Rates] | None] = {}
        self._usual: dict[str, str] = {}
        """Route → a target that has answered its requests."""
        self._courses: list[Course] = []

    def know(self, kinds: Sequence[Kind]) -> None:
        """Have the courses of `kinds`, of which the first are known."""
        new = kinds[len(self._courses) :]
        if not new:
            return
        self._usual |= {kind.route: kind.target for kind in new if kind.route and kind.target}
        self._courses += [self._course(kind) for kind in new]
        for names, rows in (
            (Course._fields[1:], [course[1:] for course in self._courses]),
            (Way._fields, [way for course in self._courses for way in course.ways]),
        ):
            for name, column in zip(names, zip(*rows, strict=True), strict=True):
                setattr(self, name, np.array(column))

    def _course(self, kind: Kind) -> Course:
        policy = self._policies.get(kind.route or "")
        if policy is None:
            return _STAYS._replace(is_elsewhere=kind.route is not None)
        if not kind.has_count or kind.rejected not in _DECIDED_ANEW:
            return _STAYS
        is_auto = policy.tier == "auto" and not (kind.reason in _AS_ASKED and kind.tier in self._tiers)
        is_cached = policy.ttl_ms is not None and kind.has_cache_key
        return Course(
            ways=(self._way(kind, policy, CHEAP), self._way(kind, policy, EXPENSIVE)),
            stays=False,
            threshold=_threshold(kind, policy, is_auto),
            is_auto=is_auto,
            is_unjudged=is_auto and not kind.has_probability,
            max_prompt=_NEVER if policy.max_prompt is None else policy.max_prompt,
            is_shortened=policy.is_shortened,
            max_completion=_NEVER if policy.max_completion is None else policy.max_completion,
            ttl_ms=policy.ttl_ms if is_cached and policy.ttl_ms is not None else 0,
            may_hit=kind.is_looked_up,
            is_stored=kind.is_success,
            is_guess=not kind.has_usage and kind.rejected is not None,
            is_answered=kind.has_usage or kind.rejected is not None,
            is_elsewhere=False,
        )

    def _way(self, kind: Kind, policy: Policy, tier: int) -> Way:
        target = self._target(kind, policy, tier)
        found = self._rates_of(target)
        number, rates = found or (0, None)
        share = rates.service_tiers.get(kind.service_tier, FULL_PRICE) if rates and kind.service_tier else FULL_PRICE
        return Way(
            tier=NO_TIER if policy.tier is None else tier,
            rates=number,
            thousandths=share,
            is_unpriced=rates is None,
            is_reported=kind.is_reported and kind.target == target,
        )

    def _target(self, kind: Kind, policy: Policy, tier: int) -> str:
        if policy.upstream is not None:
            target = kind.target or self._usual.get(kind.route or "", policy.upstream)
            upstream, _, model = target.partition("/")
            return target if upstream == policy.upstream else f"{policy.upstream}/{model}"
        targets = self._tiers.get("cheap" if tier == CHEAP else "expensive") or next(iter(self._tiers.values()))
        return kind.target if kind.target in targets else targets[0]

    def _rates_of(self, target: str) -> tuple[int, Rates] | None:
        if target not in self._rates:
            rates = self._table.rates(Target.parse(target))
            self._rates[target] = None if rates is None else (self.prices.add(rates), rates)
        return self._rates[target]


def _threshold(kind: Kind, policy: Policy, is_auto: bool) -> float:
    if is_auto:
        return policy.threshold if kind.has_probability and kind.reason not in _UP else -inf
    tier = kind.tier if policy.tier == "auto" else policy.tier
    return inf if tier == "cheap" else -inf
