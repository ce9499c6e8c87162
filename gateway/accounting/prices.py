"""What a token of each model costs: the operator's own prices first, then the shipped ones.

A configured price is written for `model` or `upstream/model` and may hold `*` and `?`. The most
particular one wins: an exact key before a pattern, `upstream/model` before `model`, a longer
pattern before a shorter one. A configured 0 means free; that is how a model of one's own is priced.

Everything is compiled when the table is built, and what a name came to is remembered. Unknown names
come from clients and there is no end of them, so that memory is bounded, and so are the labels: a
model the table knows only by a rule or pattern is labelled by what it was recognised as.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache

from gateway.accounting.shipped import Catalogue, Listed, find, pico_per_token, shipped
from gateway.config.model import Price
from gateway.values import Rates, Target

OTHER = "other"
"""The metric label of every model the table does not know."""

GUESSED_FIRST = ("openai", "anthropic", "google", "groq")
"""Whose names a model is looked up under first, where the upstream's own name says nothing."""

MEMORY = 4096
"""Names remembered; of real ones there are a few dozen, the rest is room for what clients invent."""
LONGEST_NAME = 256
"""Characters; the longest shipped name has 70. What is longer is unknown and not worth remembering."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What the table knows of one target."""

    rates: Rates | None
    label: str


UNKNOWN = Priced(None, OTHER)


class PriceTable:
    """Prices as they were when the table was built; build another for another configuration or day."""

    def __init__(self, overrides: Mapping[str, Price], catalogues: Mapping[str, Catalogue]) -> None:
        self._exact = {key: _own(price) for key, price in overrides.items() if not _is_pattern(key)}
        patterns = sorted(filter(_is_pattern, overrides), key=len, reverse=True)
        self._patterns = [(_compiled(key), key, _own(overrides[key])) for key in patterns]
        self._catalogues = catalogues
        self._guesses = tuple(dict.fromkeys((*(id_ for id_ in GUESSED_FIRST if id_ in catalogues), *catalogues)))
        self._memory: dict[tuple[str, str], Priced] = {}

    @classmethod
    def build(cls, overrides: Mapping[str, Price], *, at: datetime) -> "PriceTable":
        """The shipped prices that hold `at` (aware) under the configured ones. Takes some 50 ms."""
        return cls(overrides, _shipped_on(at.astimezone(UTC).date()))

    def rates(self, target: Target) -> Rates | None:
        """What `target` charges a token; None where nobody knows, which is never to be read as free."""
        return self._known(target).rates

    def label(self, target: Target) -> str:
        """The model's name for metrics, out of a closed set: the configured and the shipped names, and `other`."""
        return self._known(target).label

    def _known(self, target: Target) -> Priced:
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

    def _look_up(self, target: Target) -> Priced:
        for name in (str(target), target.model):
            if name in self._exact:
                return Priced(self._exact[name], target.model)
        listed = self._listed(target)
        for fits, key, own in self._patterns:
            if fits(str(target)) or fits(target.model):
                return Priced(own, listed.name if listed else key)
        return Priced(listed.rates, listed.name) if listed else UNKNOWN

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


def _is_pattern(key: str) -> bool:
    return "*" in key or "?" in key


def _compiled(pattern: str) -> Callable[[str], object]:
    """Only `*` and `?` are special: model names hold brackets of their own."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL).fullmatch


def _own(price: Price) -> Rates:
    cached = price.input if price.cached_input is None else price.cached_input
    # Through its shortest decimal form: 0.15 in the file is 150,000 pico-dollars, not 149,999.
    paid, less, out = (pico_per_token(Decimal(str(usd))) for usd in (price.input, cached, price.output))
    return Rates(input=paid, cached_input=less, output=out)
