"""What another configuration would have made of the requests in the ledger: their tiers, hits, refusals, cost.

A replay goes through the requests in the order in which they came and decides each again by what the ledger kept: the
classifier's probability, the length of the prompt, the hash that the cache goes by, the tokens, the time. What cannot
be known from these stays as it was or is guessed, and is counted:

- a model says as much as the one that answered did, in as many tokens;
- a request that was refused and is now let through says as much as its route's requests did so far;
- a request fits a limit or budget if what it came to does: the worst case that was reserved is not in the ledger;
- calls last as long as they did; failures, evictions from the cache and the cost breaker stay what they were;
- routes are known by name: which requests another `match` would have brought is not replayed.

Pure: columns in (`asked.py`), figures out. What depends on the kind of a request alone is in `courses.py`; here is
what depends on its numbers and on the requests before it. `cli/plan.py` reads configurations and the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np

from gateway.accounting.asked import Asked, Booleans, Integers, Kind, Payer, Tokens
from gateway.accounting.courses import CAPPED, CHEAP, EXPENSIVE, NO_TIER, TIERS, Courses


@dataclass(slots=True)
class Outcome:
    """What requests came to; `moved_…` are beside the ledger."""

    requests: int = 0
    refused: int = 0
    capped: int = 0
    """Refused by limits and budgets; part of `refused`."""
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


class Cap(Protocol):
    """All limits and budgets that apply to a request; calls come in the order of time."""

    def prefers_cheap(self, at_ms: int, tokens: int, nanousd: int) -> bool:
        """Whether such a request goes past a soft budget."""
        ...

    def takes(self, at_ms: int, tokens: int, nanousd: int, lasts_ms: int) -> bool:
        """Whether such a request has room; then it is taken. A hit is of 0 tokens, nano-dollars and milliseconds."""
        ...


class Caps(Protocol):
    def of(self, key: str | None, team: str | None, route: str | None) -> Cap | None:
        """None where nothing applies."""
        ...


# ------------------------------------------------------------------ as it was


def as_it_was(asked: Asked, kinds: Sequence[Kind], by_route: dict[str, Outcome]) -> None:
    """The ledger's own column beside the replays."""
    _keep(asked, kinds, np.ones(len(asked), np.bool_), by_route)


def _keep(asked: Asked, kinds: Sequence[Kind], which: Booleans, by_route: dict[str, Outcome]) -> None:
    """Add what the requests `which` were to their routes, kind by kind."""
    kind = asked.kind[which]
    counts = np.bincount(kind)
    amounts = (asked.tokens.input, asked.tokens.output, asked.cost_nanousd)
    sums = [np.bincount(kind, weights=amount[which]) for amount in amounts]
    for number in np.flatnonzero(counts).tolist():
        outcome = _outcome(by_route, kinds[number])
        _keep_kind(kinds[number], int(counts[number]), [int(each[number]) for each in sums], outcome)


def _keep_kind(kind: Kind, count: int, sums: Sequence[int], outcome: Outcome) -> None:
    outcome.requests += count
    if kind.rejected is not None:
        outcome.refused += count
        outcome.capped += count * (kind.rejected in CAPPED)
        return
    outcome.cheap += count * (kind.tier == "cheap")
    outcome.expensive += count * (kind.tier == "expensive")
    outcome.hits += count * (kind.cache in ("hit", "coalesced", "stale"))
    if kind.cache in ("hit", "coalesced"):
        return
    outcome.input_tokens += sums[0]
    outcome.output_tokens += sums[1]
    outcome.cost_nanousd += sums[2]
    outcome.unpriced += count * kind.price_unknown


def _outcome(by_route: dict[str, Outcome], kind: Kind) -> Outcome:
    return by_route.setdefault(kind.route or "none", Outcome())


# ------------------------------------------------------------------ as it would be


@dataclass(slots=True)
class _Fate:
    """What becomes of each request of a part."""

    way: Integers
    """Row of the courses' ways."""
    is_refused: Booleans
    is_capped: Booleans
    is_hit: Booleans
    tokens: Tokens
    lasts_ms: Integers


@dataclass(slots=True)
class Replay:
    """One configuration over the ledger; `play` takes its requests part by part, in the order of time."""

    courses: Courses
    refuses_unpriced: bool
    caps: Caps | None = None
    by_route: dict[str, Outcome] = field(default_factory=dict)
    _stored: dict[tuple[int | None, int], int] = field(default_factory=dict)
    """Cache key and tier → when the answer was made, in milliseconds."""
    _said: dict[str | None, tuple[int, ...]] = field(default_factory=dict)
    """Route → answers to its requests so far, their tokens and milliseconds: to guess by."""
    _caps: dict[tuple[str | None, Payer], Cap | None] = field(default_factory=dict)

    def play(self, asked: Asked, kinds: Sequence[Kind], payers: Sequence[Payer]) -> None:
        """`kinds` and `payers` by the numbers that `asked` has; those of earlier parts come first."""
        self.courses.know(kinds)
        self._listen(asked, kinds)
        fate = self._alone(asked, kinds)
        self._together(asked, fate, self._caps_of(asked, kinds, payers))
        _keep(asked, kinds, self.courses.stays[asked.kind], self.by_route)
        self._tally(asked, kinds, fate)

    def _listen(self, asked: Asked, kinds: Sequence[Kind]) -> None:
        sums = [np.bincount(asked.kind, weights=each) for each in (None, asked.tokens.output, asked.lasts_ms)]
        for number in np.flatnonzero(sums[0]).tolist():
            if kinds[number].has_usage:
                route = kinds[number].route
                so_far = self._said.get(route, (0, 0, 0))
                self._said[route] = tuple(int(each[number]) + before for each, before in zip(sums, so_far, strict=True))

    # ------------------------------------------------------------------ each by itself

    def _alone(self, asked: Asked, kinds: Sequence[Kind]) -> _Fate:
        """As if there were neither a cache nor a cap."""
        of, kind = self.courses, asked.kind
        is_long = asked.prompt > of.max_prompt[kind]
        way = 2 * kind + (asked.probability >= of.threshold[kind])
        is_refused = is_long & ~of.is_shortened[kind]
        if self.refuses_unpriced:
            is_refused |= of.is_unpriced[way]
        tokens, lasts_ms = self._answered(asked, kinds, is_long)
        no, none = np.zeros((2, len(asked)), np.bool_)
        return _Fate(way, is_refused, no, none, tokens, lasts_ms)

    def _answered(self, asked: Asked, kinds: Sequence[Kind], is_long: Booleans) -> tuple[Tokens, Integers]:
        """The tokens of each call, with the prompt shortened and the answer cut, and how long it lasts."""
        of, kind, tokens = self.courses, asked.kind, asked.tokens
        is_guess = of.is_guess[kind]
        means = np.array([self._mean(each.route) for each in kinds])[kind]
        given = np.where(is_guess, asked.prompt, tokens.input)
        is_cut = is_long & (given > of.max_prompt[kind])
        given = np.where(is_cut, of.max_prompt[kind], given)
        cached = np.where(is_cut, np.minimum(given, tokens.cached_input), tokens.cached_input)
        written = np.where(is_cut, np.minimum(given - cached, tokens.cache_write), tokens.cache_write)
        output = np.minimum(np.where(is_guess, means[:, 0], tokens.output), of.max_completion[kind])
        used = Tokens(given, cached, written, tokens.audio_input, output, tokens.audio_output)
        return used, np.where(is_guess, means[:, 1], asked.lasts_ms)

    def _mean(self, route: str | None) -> tuple[int, int]:
        """Tokens and milliseconds of an answer on `route`, by those so far."""
        answers, tokens, lasted_ms = self._said.get(route, (0, 0, 0))
        return (tokens // answers, lasted_ms // answers) if answers else (0, 0)

    def _cost(self, asked: Asked, tokens: Tokens, way: Integers) -> tuple[Integers, Booleans]:
        """Of each call, and whether nobody knows it."""
        of = self.courses
        is_reported, rates = of.is_reported[way], of.rates[way]
        is_unpriced = ~is_reported & (of.is_unpriced[way] | ~of.prices.is_priced(tokens, rates))
        computed = of.prices.cost_nanousd(tokens, rates, of.thousandths[way])
        return np.where(is_reported, asked.cost_nanousd, np.where(is_unpriced, 0, computed)), is_unpriced

    # ------------------------------------------------------------------ one after the other

    def _caps_of(self, asked: Asked, kinds: Sequence[Kind], payers: Sequence[Payer]) -> list[Cap | None]:
        """Of each request."""
        if self.caps is None:
            return [None] * len(asked)
        pairs, pair = np.unique(asked.kind * len(payers) + asked.payer, return_inverse=True)
        found: list[Cap | None] = []
        for number in pairs.tolist():
            route, payer = kinds[number // len(payers)].route, payers[number % len(payers)]
            if (route, payer) not in self._caps:
                self._caps[route, payer] = self.caps.of(payer.key, payer.team, route)
            found.append(self._caps[route, payer])
        return [found[number] for number in pair.tolist()]

    def _together(self, asked: Asked, fate: _Fate, caps: Sequence[Cap | None]) -> None:
        """Go through the requests that a cache or a cap may have something to say about."""
        of, kind, stored, keys = self.courses, asked.kind, self._stored, asked.cache_key
        has_cap = np.array([cap is not None for cap in caps])
        [at] = np.nonzero(~of.stays[kind] & ~fate.is_refused & (has_cap | (of.ttl_ms[kind] > 0)))
        for n, at_ms, ttl_ms, may_hit, is_stored, tier, is_auto, tokens, nanousd, cheap_nanousd, lasts_ms in zip(
            *self._steps(asked, fate, at, any(caps)), strict=True
        ):
            cap = caps[n]
            if is_auto and tier == EXPENSIVE and cap is not None and cap.prefers_cheap(at_ms, tokens, nanousd):
                fate.way[n] -= 1
                tier, nanousd = CHEAP, cheap_nanousd
            place = keys[n], tier
            made_ms = stored.get(place) if may_hit else None
            is_hit = made_ms is not None and at_ms - made_ms < ttl_ms
            if cap is not None and not (
                cap.takes(at_ms, 0, 0, 0) if is_hit else cap.takes(at_ms, tokens, nanousd, lasts_ms)
            ):
                fate.is_capped[n] = True
            elif is_hit:
                fate.is_hit[n] = True
            elif is_stored:
                stored[place] = at_ms

    def _steps(self, asked: Asked, fate: _Fate, at: Integers, has_caps: bool) -> Iterator[list[Any]]:
        """Of the requests numbered `at`: what `_together` has to know of each, column by column."""
        of, kind, tokens = self.courses, asked.kind[at], fate.tokens
        ttl_ms, is_answered = of.ttl_ms[kind], of.is_answered[kind]
        nothing = np.zeros(len(at), np.int64)
        costs = [self._cost(asked, tokens, way)[0][at] * is_answered for way in (fate.way, 2 * asked.kind) if has_caps]
        yield from (
            column.tolist()
            for column in (
                *(at, asked.at_ms[at], ttl_ms),
                *(of.may_hit[kind] & (ttl_ms > 0), of.is_stored[kind] & (ttl_ms > 0), of.tier[fate.way[at]]),
                *(of.is_auto[kind], (tokens.input + tokens.output)[at] * is_answered),
                *(costs or (nothing, nothing)),
                fate.lasts_ms[at],
            )
        )

    # ------------------------------------------------------------------ added up

    def _tally(self, asked: Asked, kinds: Sequence[Kind], fate: _Fate) -> None:
        of, kind = self.courses, asked.kind
        goes = ~of.stays[kind]
        is_served = goes & ~fate.is_refused & ~fate.is_capped
        is_paid = is_served & ~fate.is_hit & of.is_answered[kind]
        nanousd, is_unpriced = self._cost(asked, fate.tokens, fate.way)
        tier = of.tier[fate.way]
        was = np.array([TIERS.get(each.tier or "", NO_TIER) for each in kinds])[kind]
        is_cheap, is_expensive = is_served & (tier == CHEAP), is_served & (tier == EXPENSIVE)
        figures = {
            "requests": goes,
            "refused": goes & ~is_served,
            "capped": fate.is_capped,
            "hits": fate.is_hit,
            "cheap": is_cheap,
            "expensive": is_expensive,
            "moved_down": is_cheap & (was == EXPENSIVE),
            "moved_up": is_expensive & (was == CHEAP),
            "input_tokens": is_paid * fate.tokens.input,
            "output_tokens": is_paid * fate.tokens.output,
            "cost_nanousd": is_paid * nanousd,
            "unpriced": is_paid & is_unpriced,
            "guessed": is_paid & of.is_guess[kind],
            "unjudged": is_served & of.is_unjudged[kind],
            "unchanged": of.is_elsewhere[kind],
        }
        outcomes = [_outcome(self.by_route, each) for each in kinds]
        for name, of_each in figures.items():
            sums = np.bincount(kind, weights=of_each, minlength=len(kinds))
            for number in np.flatnonzero(sums).tolist():
                outcome = outcomes[number]
                setattr(outcome, name, getattr(outcome, name) + int(sums[number]))
