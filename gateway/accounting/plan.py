"""What another configuration would have made of the requests in the ledger: their tiers, hits, refusals, cost.

A replay goes through the rows in the order in which they came and decides each again by what the ledger kept: the
classifier's probability, the length of the prompt, the hash that the cache goes by, the tokens. What cannot be known
from these stays as it was or is guessed, and is counted:

- a model says as much as the one that answered did, in as many tokens;
- a request that was refused for its length and is now let through says as much as its route's requests did so far;
- rate limits, budgets, failures and evictions from the cache stay what they were;
- routes are known by name: which requests another `match` would have brought is not replayed.

Pure: rows in, figures out. `cli/plan.py` reads configurations and the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from gateway.accounting.cost import cost_nanousd, is_priced
from gateway.accounting.prices import PriceTable
from gateway.config.model import Route
from gateway.values import Rates, Target, Usage

_AS_ASKED = ("header", "rule")
"""Reasons of a decision that no threshold has a part in."""
_UP = ("long", "foreign", "unfamiliar", "unsure", "conversation")
"""Reasons that send a question up whatever its probability."""
TOO_LONG = "context_length_exceeded"


class Asked(NamedTuple):
    """One request as the ledger has it; the fields are columns of it, in this order."""

    at_ms: int
    route: str | None
    tier: str | None
    reason: str | None
    probability: float | None
    target: str | None
    is_success: bool
    rejected: str | None
    cache: str | None
    cache_detail: str | None
    cache_key: int | None
    counted_tokens: int | None
    dropped_tokens: int
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    audio_input_tokens: int | None
    output_tokens: int | None
    audio_output_tokens: int | None
    service_tier: str | None
    cost_nanousd: int | None
    cost_source: str | None
    price_unknown: bool


@dataclass(frozen=True, slots=True)
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


@dataclass(slots=True)
class Outcome:
    """What requests came to; `moved_…` are beside the ledger."""

    requests: int = 0
    refused: int = 0
    hits: int = 0
    cheap: int = 0
    expensive: int = 0
    moved_down: int = 0
    """From the expensive to the cheap tier."""
    moved_up: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    unpriced: int = 0
    guessed: int = 0
    """Answers whose length nobody knows, since there were none."""
    unjudged: int = 0
    """Requests of `auto` routes that the classifier was not asked about; they count as expensive."""
    unchanged: int = 0
    """Requests whose route is not in the configuration; they stay what they were."""

    def add(self, other: "Outcome") -> None:
        for each in fields(Outcome):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def total(outcomes: Mapping[str, Outcome]) -> Outcome:
    whole = Outcome()
    for outcome in outcomes.values():
        whole.add(outcome)
    return whole


@dataclass(slots=True)
class _Said:
    """What a route's requests were answered so far, to guess by."""

    answers: int = 0
    tokens: int = 0
    target: str | None = None
    """Of the last of them."""


@dataclass(slots=True)
class Replay:
    """One configuration over the ledger; `play` takes its rows in the order of time."""

    policies: Mapping[str, Policy]
    tiers: Mapping[str, tuple[str, ...]]
    """Tier → its targets, as `upstream/model`."""
    prices: PriceTable
    refuses_unpriced: bool
    by_route: dict[str, Outcome] = field(default_factory=dict)
    _rates: dict[str, Rates | None] = field(default_factory=dict)
    _stored: dict[tuple[int, str], int] = field(default_factory=dict)
    """Cache key and tier → when the answer was made, in milliseconds."""
    _said: dict[str, _Said] = field(default_factory=dict)
    """By route."""

    def play(self, asked: Asked) -> None:
        route = asked.route or "none"
        outcome = self.by_route.get(route)
        if outcome is None:
            outcome = self.by_route[route] = Outcome()
        outcome.requests += 1
        policy = self.policies.get(route)
        if policy is None:
            outcome.unchanged += asked.route is not None
            _as_it_was(asked, outcome)
        elif asked.counted_tokens is None or (asked.rejected is not None and asked.rejected != TOO_LONG):
            _as_it_was(asked, outcome)
        else:
            self._decide(asked, route, policy, outcome)

    def _decide(self, asked: Asked, route: str, policy: Policy, outcome: Outcome) -> None:
        assert asked.counted_tokens is not None
        prompt, kept = asked.counted_tokens + asked.dropped_tokens, None
        if policy.max_prompt is not None and prompt > policy.max_prompt:
            if not policy.is_shortened:
                outcome.refused += 1
                return
            kept = policy.max_prompt
        tier = self._tier(asked, policy, outcome)
        target = self._target(asked, route, policy, tier)
        rates = self._rates_of(target)
        if rates is None and self.refuses_unpriced:
            outcome.refused += 1
            return
        _count_tier(asked, tier, outcome)
        if self._is_hit(asked, policy, tier):
            outcome.hits += 1
            return
        self._charge(asked, route, policy, outcome, target, rates, prompt, kept)

    def _tier(self, asked: Asked, policy: Policy, outcome: Outcome) -> str:
        if policy.tier is None:
            return "none"
        if policy.tier != "auto":
            return policy.tier
        if asked.reason in _AS_ASKED and asked.tier in self.tiers:
            return asked.tier or "expensive"
        if asked.probability is None or asked.reason in _UP:
            outcome.unjudged += asked.probability is None
            return "expensive"
        return "cheap" if asked.probability < policy.threshold else "expensive"

    def _target(self, asked: Asked, route: str, policy: Policy, tier: str) -> str:
        if policy.upstream is not None:
            said = self._said.get(route)
            target = asked.target or (said and said.target) or policy.upstream
            upstream, _, model = target.partition("/")
            return target if upstream == policy.upstream else f"{policy.upstream}/{model}"
        targets = self.tiers[tier]
        return asked.target if asked.target in targets else targets[0]

    def _rates_of(self, target: str) -> Rates | None:
        if target not in self._rates:
            self._rates[target] = self.prices.rates(Target.parse(target))
        return self._rates[target]

    def _is_hit(self, asked: Asked, policy: Policy, tier: str) -> bool:
        """A request that comes while the answer is still being made shares it."""
        if policy.ttl_ms is None or asked.cache_key is None:
            return False
        if asked.cache_detail in (None, "semantic"):  # the latter was no repeat, and may be one here
            made_ms = self._stored.get((asked.cache_key, tier))
            if made_ms is not None and asked.at_ms - made_ms < policy.ttl_ms:
                return True
        if asked.is_success:
            self._stored[asked.cache_key, tier] = asked.at_ms
        return False

    def _charge(
        self,
        asked: Asked,
        route: str,
        policy: Policy,
        outcome: Outcome,
        target: str,
        rates: Rates | None,
        prompt: int,
        kept: int | None,
    ) -> None:
        said = self._said.get(route)
        if said is None:
            said = self._said[route] = _Said()
        output = asked.output_tokens
        if output is not None:
            said.answers += 1
            said.tokens += output
            said.target = asked.target
        elif asked.rejected == TOO_LONG:
            output = said.tokens // said.answers if said.answers else 0
            outcome.guessed += 1
        else:
            return  # it failed before anything was paid for
        usage = _usage(asked, prompt, kept, output, policy.max_completion)
        outcome.input_tokens += usage.input
        outcome.output_tokens += usage.output
        if asked.cost_source == "reported" and asked.target == target and asked.cost_nanousd is not None:
            outcome.cost_nanousd += asked.cost_nanousd
        elif rates is None or not is_priced(usage, rates):
            outcome.unpriced += 1
        else:
            outcome.cost_nanousd += cost_nanousd(usage, rates)


def _usage(asked: Asked, prompt: int, kept: int | None, output: int, most: int | None) -> Usage:
    """The tokens of `asked`, its prompt shortened to `kept`, its answer to `most`."""
    given = prompt if asked.input_tokens is None else asked.input_tokens
    cached, written_to_cache = asked.cached_input_tokens or 0, asked.cache_write_tokens or 0
    if kept is not None and kept < given:
        given, cached = kept, min(kept, cached)
        written_to_cache = min(given - cached, written_to_cache)
    return Usage(
        input=given,
        output=output if most is None or output < most else most,
        cached_input=cached,
        cache_write=written_to_cache,
        audio_input=asked.audio_input_tokens or 0,
        audio_output=asked.audio_output_tokens or 0,
        service_tier=asked.service_tier,
    )


def as_it_was(asked: Asked, by_route: dict[str, Outcome]) -> None:
    """The ledger's own column beside the replays."""
    outcome = by_route.setdefault(asked.route or "none", Outcome())
    outcome.requests += 1
    _as_it_was(asked, outcome)


def _as_it_was(asked: Asked, outcome: Outcome) -> None:
    if asked.rejected is not None:
        outcome.refused += 1
        return
    _count_tier(asked, asked.tier, outcome)
    outcome.hits += asked.cache in ("hit", "coalesced", "stale")
    if asked.cache in ("hit", "coalesced"):
        return
    outcome.input_tokens += asked.input_tokens or 0
    outcome.output_tokens += asked.output_tokens or 0
    outcome.cost_nanousd += asked.cost_nanousd or 0
    outcome.unpriced += asked.price_unknown


def _count_tier(asked: Asked, tier: str | None, outcome: Outcome) -> None:
    if tier == "cheap":
        outcome.cheap += 1
        outcome.moved_down += asked.tier == "expensive"
    elif tier == "expensive":
        outcome.expensive += 1
        outcome.moved_up += asked.tier == "cheap"


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
