"""The prices that ship with us: genai-prices' data, compiled once to a flat table of integers.

genai-prices keeps its data as a Python module of 30,000 lines that builds pydantic dataclasses. To
import it the ordinary way takes 0.65 s, two thirds of it for an HTTP client and models that only
its self-update and its calculator need. We want neither: prices must not change under a running
gateway, and a call of the calculator costs 40 to 100 µs. So the module's bytecode is fetched through
the import system (cached like any other's: 3 ms) and run with plain stand-ins for its classes
(20 ms), never importing the package itself. Where the file is not found or has another shape, the
package's own API is the fallback: the same table, half a second later.

Every price is read with the date the table was built for. A price that changes with the hour of
day counts at its dearest hour: better to overstate a night's bill than to understate a day's.
"""

import builtins
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.values import Rates

Rule = Callable[[str], bool]
"""Whether a lower-case model name is meant by a clause of genai-prices."""

PICO_PER_MTOK_USD = 10**6
"""One dollar per million tokens, in pico-dollars per token."""

SERVICE_TIERS: Mapping[str, Mapping[str, int]] = {
    "openai": {"flex": 500, "batch": 500, "priority": 2000},
    "anthropic": {"batch": 500},
}
"""Provider → class of service → thousandths of the price, which genai-prices does not know. From the price pages of
OpenAI and Anthropic in 2026: flex and batch are half of every price; priority is 1.7 to 2 times it, by model, and
counts as the most. A class that is not named costs the full price; `prices:` in the configuration says better."""

COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=[-:]|$)")
"""`gpt-5.2-20251211`, as some resellers write what the price data lists as `gpt-5.2-2025-12-11`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in the shipped data. `rates` is None where no price per token is known: never read that as free."""

    name: str
    """In the data's spelling: what was asked for if listed in full, else the id of the model whose rule fits."""
    rates: Rates | None
    context: int | None = None
    """Tokens that the model takes, prompt and completion together, where the data says."""
    provider: str = ""
    """Whose price it is."""
    since: date | None = None
    """The day from which this price holds, where the data says; an earlier one was another."""
    until: date | None = None
    """The day from which another one holds, as far as that is known already."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one provider sells. `exact` holds every name its rules spell out in full, all in lower case."""

    exact: Mapping[str, Listed]
    rules: tuple[tuple[Rule, Listed], ...]
    falls_back_to: tuple[str, ...]
    """Providers whose models this one resells under the same names."""

    def find(self, name: str) -> Listed | None:
        """The model a lower-case `name` means, by its exact name or else by the first rule that fits."""
        found = self.exact.get(name)
        if found is None:
            found = next((listed for rule, listed in self.rules if rule(name)), None)
        return found


def find(catalogues: Mapping[str, Catalogue], provider: str, name: str) -> Listed | None:
    """Look `name` up with `provider` and then with those it resells, as `genai_prices` does."""
    catalogue = catalogues[provider]
    name = name.lower()
    for spelling in dict.fromkeys((name, COMPACT_DATE.sub(r"-\1-\2-\3", name))):
        for seller in (catalogue, *(catalogues[other] for other in catalogue.falls_back_to)):
            if found := seller.find(spelling):
                return found
    return None


# ------------------------------------------------------------------ reading


class _StandIn:
    """Takes the place of any class the data names: keeps what it is given."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class _StandIns(dict[str, Any]):
    """A namespace in which every unknown name is a new kind of `_StandIn`, named after itself."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)  # makes the interpreter look among the builtins, as usual
        self[name] = kind = type(name, (_StandIn,), {})
        return kind


def _import(name: str, scope: Any, names: Any, wanted: Any, level: int) -> ModuleType:
    """`from .types import *` brings in nothing here; what else the data imports is the standard library."""
    return ModuleType(name) if level else __import__(name, scope, names, wanted, level)


def bundled_providers() -> list[Any]:
    """genai-prices' providers as trees of stand-ins with the fields and class names of the real ones.

    Raises OSError or LookupError where the installed version keeps its data elsewhere.
    """
    spec = importlib.util.find_spec("genai_prices")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("genai_prices")
    path = Path(spec.submodule_search_locations[0], "data.py")
    code = SourceFileLoader("genai_prices.data", str(path)).get_code("genai_prices.data")
    if code is None:
        raise LookupError(path)
    names = _StandIns()
    # The code of an installed dependency, as an import would run it.
    exec(code, {"__builtins__": {**vars(builtins), "__import__": _import}, "__package__": "genai_prices"}, names)  # noqa: S102
    providers: list[Any] = dict.__getitem__(names, "providers")
    return providers


# ------------------------------------------------------------------ compiling


def shipped(*, at: datetime, read: Callable[[], list[Any]] = bundled_providers) -> dict[str, Catalogue]:
    """Provider id → catalogue, with the prices that hold `at` (aware), in the order of the data."""
    try:
        providers = read()
    except (OSError, LookupError):
        from genai_prices.data_snapshot import get_snapshot  # half a second that nobody should pay without need

        providers = get_snapshot().providers
    return compiled(providers, on=at.astimezone(UTC).date())


def compiled(providers: Iterable[Any], *, on: date) -> dict[str, Catalogue]:
    """genai-prices' `Provider` objects, or stand-ins for them, as catalogues of the prices that hold `on` this day."""
    catalogues = {provider.id: _catalogue(provider, on) for provider in providers}
    return {
        id_: Catalogue(c.exact, c.rules, tuple(other for other in c.falls_back_to if other in catalogues))
        for id_, c in catalogues.items()
    }


def _catalogue(provider: Any, on: date) -> Catalogue:
    exact: dict[str, Listed] = {}
    ids: dict[str, Listed] = {}
    rules: list[tuple[Rule, Listed]] = []
    for model in provider.models:
        price = rates(prices_on(model.prices, on), SERVICE_TIERS.get(provider.id, {}))
        context = getattr(model, "context_window", None)
        since, until = holding(model.prices, on)
        listed = Listed(model.id, price, context, provider.id, since, until)
        ids.setdefault(model.id.lower(), listed)
        for clause in _alternatives(model.match):
            if type(clause).__name__ == "ClauseEquals":
                exact.setdefault(clause.equals.lower(), replace(listed, name=clause.equals))
            else:
                rules.append((_rule(clause), listed))
    # An id need not fit its own model's rule (`codestral` is a family's name), and then stands last.
    return Catalogue(ids | exact, tuple(rules), tuple(getattr(provider, "fallback_model_providers", None) or ()))


def _alternatives(clause: Any) -> Iterator[Any]:
    if type(clause).__name__ == "ClauseOr":
        for part in clause.or_:
            yield from _alternatives(part)
    else:
        yield clause


def _rule(clause: Any) -> Rule:
    match type(clause).__name__:
        case "ClauseEquals":
            return clause.equals.lower().__eq__  # type: ignore[no-any-return]
        case "ClauseStartsWith":
            start = clause.starts_with.lower()
            return lambda name: name.startswith(start)
        case "ClauseEndsWith":
            end = clause.ends_with.lower()
            return lambda name: name.endswith(end)
        case "ClauseContains":
            part = clause.contains.lower()
            return lambda name: part in name
        case "ClauseRegex":
            search = re.compile(clause.regex).search
            return lambda name: search(name) is not None
        case "ClauseOr":
            either = [_rule(part) for part in clause.or_]
            return lambda name: any(rule(name) for rule in either)
        case "ClauseAnd":
            every = [_rule(part) for part in clause.and_]
            return lambda name: all(rule(name) for rule in every)
        case unknown:
            raise ValueError(f"genai-prices has a matching rule we cannot read: {unknown}")


# ------------------------------------------------------------------ prices


def prices_on(prices: Any, on: date) -> Mapping[str, Any]:
    """genai-prices' fields (`input_mtok`, …) as they hold `on` this day.

    Of a list with conditions that is the last that applies, or else the first; of an empty list, nothing.
    """
    if not isinstance(prices, list):
        always: Mapping[str, Any] = vars(prices)
        return always
    holding: list[Mapping[str, Any]] = []
    for conditional in reversed(prices):
        constraint = getattr(conditional, "constraint", None)
        is_by_hour = type(constraint).__name__ == "TimeOfDateConstraint"
        if is_by_hour or constraint is None or constraint.start_date <= on:
            holding.append(vars(conditional.prices))
            if not is_by_hour:
                break
    else:
        holding += [vars(conditional.prices) for conditional in prices[:1]]
    return max(holding, key=_dearness, default={})


def _dearness(fields: Mapping[str, Any]) -> Decimal:
    return _base(fields.get("input_mtok")) + _base(fields.get("output_mtok"))


def holding(prices: Any, on: date) -> tuple[date | None, date | None]:
    """The day from which the prices of `prices_on` hold, and the day on which they end; None: not said."""
    constraints = [getattr(part, "constraint", None) for part in prices] if isinstance(prices, list) else []
    days = [day for part in constraints if (day := getattr(part, "start_date", None)) is not None]
    return max((day for day in days if day <= on), default=None), min((day for day in days if day > on), default=None)


def rates(fields: Mapping[str, Any], service_tiers: Mapping[str, int] | None = None) -> Rates | None:
    """What a token costs, or None where tokens are not all that is paid for.

    No input price, or one of 0, is what audio and image models have that are billed by the minute
    or the picture; a fee per request would be left out of every sum. All of these are unknown to
    us, not free. No output price is right for embeddings: they put out no tokens.
    """
    if _base(fields.get("input_mtok")) == 0 or fields.get("requests_kcount") is not None:
        return None
    steps = {tier.start for price in fields.values() for tier in getattr(price, "tiers", ())}
    longer = tuple((step, _flat(fields, step)) for step in sorted(steps))
    return replace(_flat(fields, None), longer=longer, service_tiers=service_tiers or {})


def _flat(fields: Mapping[str, Any], step: int | None) -> Rates:
    """The prices of prompts longer than `step` tokens; None: of the shortest."""

    def pico(name: str) -> int | None:
        price = fields.get(name)
        return None if price is None else pico_per_token(_at(price, step))

    paid, cached = pico("input_mtok") or 0, pico("cache_read_mtok")
    return Rates(
        input=paid,
        cached_input=paid if cached is None else cached,
        output=pico("output_mtok") or 0,
        cache_write=pico("cache_write_mtok"),
        audio_input=pico("input_audio_mtok") or None,
        audio_output=pico("output_audio_mtok") or None,
    )


def _at(price: Any, step: int | None) -> Decimal:
    """A `Decimal`, or of a `TieredPrices` the last that begins at `step` tokens or before."""
    found = _base(price)
    if step is not None:
        for tier in getattr(price, "tiers", ()):
            found = tier.price if tier.start <= step else found
    return Decimal(found)


def _base(price: Any) -> Decimal:
    """A `Decimal`, or the `base` of a `TieredPrices`, in dollars per million tokens; nothing is 0."""
    return Decimal(getattr(price, "base", price) or 0)


def pico_per_token(usd_per_mtok: Decimal) -> int:
    """Exact for every published price; a few rows of the data carry float noise in the 17th digit, which goes here."""
    return int((usd_per_mtok * PICO_PER_MTOK_USD).to_integral_value(ROUND_HALF_UP))
