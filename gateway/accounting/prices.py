"""What a token of each model costs: the operator's own prices first, then the shipped ones.

A configured price is written for a name or a pattern (`named.py`). A configured 0 means free; that is
how a model of one's own is priced. The limits of models come from the same two places, each number by itself.

Everything is compiled when the table is built, and what a name came to is remembered. Unknown names
come from clients and there is no end of them, so that memory is bounded, and so are the labels: a
model the table knows only by a rule or pattern is labelled by what it was recognised as.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache

from gateway.accounting.cost import FULL_PRICE
from gateway.accounting.named import ByName
from gateway.accounting.shipped import Catalogue, Listed, find, pico_per_token, shipped
from gateway.clock import Clock
from gateway.config.money import ModelLimit, Price, TokenPrices
from gateway.values import ModelLimits, Rates, Target

OTHER = "other"
"""The metric label of every model the table does not know."""

GUESSED_FIRST = ("openai", "anthropic", "google", "groq")
"""Whose names a model is looked up under first, where the upstream's own name says nothing."""

_LONGEST_NAP_S = 600.0
"""Clocks are set, and machines sleep: how late a new day is noticed at the most."""
MEMORY = 4096
"""Names remembered; of real ones there are a few dozen, the rest is room for what clients invent."""
LONGEST_NAME = 256
"""Characters; the longest shipped name has 70. What is longer is unknown and not worth remembering."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the table knows of one target."""

    rates: Rates | None
    label: str
    limits: ModelLimits
    listed: Listed | None = None
    """The shipped entry that says so; None: the configuration does, or nobody."""
    own: str | None = None
    """The name or pattern in the configuration's `prices:` that says so."""


UNKNOWN = Known(None, OTHER, ModelLimits())


class PriceTable:
    """Prices as they hold on one day: the one it was built for, or was moved to since."""

    def __init__(
        self,
        overrides: Mapping[str, Price],
        catalogues: Mapping[str, Catalogue],
        limits: Mapping[str, ModelLimit] | None = None,
    ) -> None:
        self._own = ByName({key: _own(price) for key, price in overrides.items()})
        self._own_limits = ByName(limits or {})
        self._catalogues = catalogues
        self._guesses = tuple(dict.fromkeys((*(id_ for id_ in GUESSED_FIRST if id_ in catalogues), *catalogues)))
        self._memory: dict[tuple[str, str], Known] = {}

    @classmethod
    def build(
        cls, overrides: Mapping[str, Price], *, at: datetime, limits: Mapping[str, ModelLimit] | None = None
    ) -> "PriceTable":
        """The shipped prices that hold `at` (aware) under the configured ones. Takes some 50 ms."""
        return cls(overrides, _shipped_on(at.astimezone(UTC).date()), limits)

    async def follow(self, clock: Clock) -> None:
        """Have the prices of each day (UTC) hold from its beginning on; never returns."""
        while True:
            now = datetime.fromtimestamp(clock.wall(), UTC)
            tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
            await asyncio.sleep(min(_LONGEST_NAP_S, (tomorrow - now).total_seconds()))
            today = datetime.fromtimestamp(clock.wall(), UTC).date()
            if today != now.date():
                self.move_to(await asyncio.to_thread(_shipped_on, today))

    def move_to(self, catalogues: Mapping[str, Catalogue]) -> None:
        """The same configuration over other shipped prices."""
        self._catalogues = catalogues
        self._memory.clear()

    def rates(self, target: Target) -> Rates | None:
        """What `target` charges a token; None where nobody knows, which is never to be read as free."""
        return self.known(target).rates

    def label(self, target: Target) -> str:
        """The model's name for metrics, out of a closed set: the configured and the shipped names, and `other`."""
        return self.known(target).label

    def limits(self, target: Target) -> ModelLimits:
        """What `target` takes at most. The shipped data has contexts alone: a completion limit is always configured."""
        return self.known(target).limits

    def known(self, target: Target) -> Known:
        """All of it, and who says so."""
        key = (target.upstream, target.model)
        known = self._memory.get(key)
        if known is None:
            if len(target.model) > LONGEST_NAME:
                return UNKNOWN
            known = self._look_up(target)
            if len(self._memory) >= MEMORY:
                del self._memory[next(iter(self._memory))]  # the oldest: a flood of names passes through
            self._memory[key] = known
        return known

    def _look_up(self, target: Target) -> Known:
        listed = self._listed(target)
        limits = self._limits(target, listed)
        own = self._own.find(target)
        if own is not None:
            label = own.name if own.is_exact or listed is None else listed.name
            return Known(own.value, label, limits, own=own.name)
        return Known(listed.rates, listed.name, limits, listed) if listed else Known(None, OTHER, limits)

    def _limits(self, target: Target, listed: Listed | None) -> ModelLimits:
        own = self._own_limits.find(target)
        context, completion = (own.value.context, own.value.completion) if own else (None, None)
        return ModelLimits(context if context is not None or listed is None else listed.context, completion)

    def _listed(self, target: Target) -> Listed | None:
        """The shipped entry for `target`, looked for under its whole name, then without a `vendor/` in front."""
        for name in _spellings(target.model):
            for provider in self._providers(target.upstream):
                if listed := find(self._catalogues, provider, name):
                    return listed
        return None

    def _providers(self, upstream: str) -> Iterator[str]:
        if upstream in self._catalogues:
            yield upstream
        yield from self._guesses


@lru_cache(maxsize=1)
def _shipped_on(day: date) -> Mapping[str, Catalogue]:
    """Read once a day, however often the configuration is reloaded."""
    return shipped(at=datetime.combine(day, time(), UTC))


def _spellings(model: str) -> Iterator[str]:
    yield model
    _, slash, name = model.partition("/")
    if slash:
        yield name


def _own(price: Price) -> Rates:
    longer = sorted(price.long_context, key=lambda step: step.above)
    return replace(
        _per_token(price),
        longer=tuple((step.above, _per_token(step)) for step in longer),
        service_tiers={name: round(share * FULL_PRICE) for name, share in price.service_tiers.items()},
    )


def _per_token(price: TokenPrices) -> Rates:
    paid = _pico(price.input)
    return Rates(
        input=paid,
        cached_input=paid if price.cached_input is None else _pico(price.cached_input),
        output=_pico(price.output),
        cache_write=None if price.cache_write is None else _pico(price.cache_write),
        audio_input=None if price.audio_input is None else _pico(price.audio_input),
        audio_output=None if price.audio_output is None else _pico(price.audio_output),
    )


def _pico(usd_per_mtok: float) -> int:
    """Through its shortest decimal form: 0.15 in the file is 150,000 pico-dollars, not 149,999."""
    return pico_per_token(Decimal(str(usd_per_mtok)))
