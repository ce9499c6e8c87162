"""The ledger's requests as columns, for a replay that goes through a million of them in seconds.

What has few values (route, tier, target, how it ended) makes up a `Kind`, of which a ledger has some hundreds:
whatever depends on the kind alone is worked out once. The rest are arrays of numbers. Most of the time goes into
reading, some 0.1 µs for each column of a row, so that what is true or false comes in one of them.
"""

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, case, func, select

from gateway.tables import ledger
from gateway.value import value

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


class Kind(NamedTuple):
    """What many requests have in common."""

    route: str | None
    tier: str | None
    reason: str | None
    target: str | None
    rejected: str | None
    cache: str | None
    service_tier: str | None
    is_success: bool
    price_unknown: bool
    is_reported: bool
    """The upstream said what it cost."""
    is_looked_up: bool
    """No wish of the client's, nor anything else, kept it from the cache. A hit by meaning may be a repeat here."""
    has_cache_key: bool
    has_probability: bool
    has_count: bool
    """The prompt's tokens were counted before the call."""
    has_usage: bool


_WORDS = Kind._fields[:7]
_CLAIMS: dict[str, ColumnElement[bool]] = {
    "is_success": ledger.c.is_success,
    "price_unknown": ledger.c.price_unknown,
    "is_reported": ledger.c.cost_source == "reported",
    "is_looked_up": func.coalesce(ledger.c.cache_detail, "semantic") == "semantic",
    "has_cache_key": ledger.c.cache_key.is_not(None),
    "has_probability": ledger.c.probability.is_not(None),
    "has_count": ledger.c.counted_tokens.is_not(None),
    "has_usage": ledger.c.output_tokens.is_not(None),
}
_NUMBERS = {
    "prompt": ledger.c.counted_tokens + ledger.c.dropped_tokens,
    **{name: ledger.c[f"{name}_tokens"] for name in ("input", "cached_input", "cache_write", "audio_input")},
    **{name: ledger.c[f"{name}_tokens"] for name in ("output", "audio_output")},
    **{name: ledger.c[name] for name in ("at_ms", "duration_us", "cost_nanousd")},
}


class Payer(NamedTuple):
    """Whose limits and budgets a request is under, beside its route's."""

    key: str | None
    team: str | None


def query(since_ms: int, until_ms: int) -> Select[Any]:
    """Requests in the order in which they came, as `Reader` takes them."""
    claims = (case((claim, 1 << n), else_=0) for n, claim in enumerate(_CLAIMS.values()))
    columns: list[ColumnElement[Any]] = [
        *(ledger.c[name] for name in _WORDS),
        reduce(operator.add, claims),
        *(ledger.c.key_name, ledger.c.team, ledger.c.cache_key, func.coalesce(ledger.c.probability, 0.0)),
        *(func.coalesce(number, 0) for number in _NUMBERS.values()),
    ]
    is_inference = ledger.c.endpoint.not_in(("passthrough", "websocket", "lost"))
    within = (ledger.c.at_ms >= since_ms, ledger.c.at_ms < until_ms)
    return select(*columns).where(*within, is_inference).order_by(ledger.c.at_ms, ledger.c.writer, ledger.c.seq)


def used_query(since_ms: int, until_ms: int) -> Select[Any]:
    """Key, team, route, and what their requests used in tokens and nano-dollars."""
    by = (ledger.c.key_name, ledger.c.team, ledger.c.route)
    tokens = func.coalesce(ledger.c.input_tokens, 0) + func.coalesce(ledger.c.output_tokens, 0)
    is_paid = func.coalesce(ledger.c.cache, "").not_in(("hit", "coalesced"))
    within = (ledger.c.at_ms >= since_ms, ledger.c.at_ms < until_ms)
    sums = (func.sum(tokens), func.coalesce(func.sum(ledger.c.cost_nanousd), 0))
    return select(*by, *sums).where(*within, is_paid).group_by(*by)


@value
class Tokens:
    """Of each request, in the classes that have prices of their own; `cost.py` says which is part of which."""

    input: Integers
    cached_input: Integers
    cache_write: Integers
    audio_input: Integers
    output: Integers
    audio_output: Integers


@value
class Asked:
    """Requests in the order in which they came; of numbers, 0 where the ledger has null."""

    kind: Integers
    """Number of the kind, and of the payer, by the reader that made these."""
    payer: Integers
    cache_key: Sequence[int | None]
    probability: Floats
    prompt: Integers
    """Tokens as counted, before anything was dropped."""
    tokens: Tokens
    at_ms: Integers
    lasts_ms: Integers
    cost_nanousd: Integers

    def __len__(self) -> int:
        return len(self.kind)


class Reader:
    """Makes columns of rows, part after part; numbers kinds and payers as it meets them."""

    def __init__(self) -> None:
        self._kinds = _Numbered()
        self._payers = _Numbered()

    @property
    def kinds(self) -> list[Kind]:
        return [Kind(*words, *(bool(claims >> n & 1) for n in range(len(_CLAIMS)))) for *words, claims in self._kinds]

    @property
    def payers(self) -> list[Payer]:
        return [Payer(*payer) for payer in self._payers]

    def columns(self, rows: Sequence[Sequence[Any]]) -> Asked:
        """`rows` of `query`, at least one."""
        columns = list(zip(*rows, strict=True))
        kinds, payers = self._kinds, self._payers
        key, team, cache_key, probability = columns[len(_WORDS) + 1 : len(_WORDS) + 5]
        prompt, *tokens, at_ms, duration_us, cost_nanousd = (np.array(each, np.int64) for each in columns[-10:])
        return Asked(
            kind=np.array([kinds[each] for each in zip(*columns[: len(_WORDS) + 1], strict=True)]),
            payer=np.array([payers[each] for each in zip(key, team, strict=True)]),
            cache_key=cache_key,
            probability=np.array(probability),
            prompt=prompt,
            tokens=Tokens(*tokens),
            at_ms=at_ms,
            lasts_ms=duration_us // 1000,
            cost_nanousd=cost_nanousd,
        )


class _Numbered(dict[Any, int]):
    """Gives whatever it is asked for a number, from 0 on."""

    def __missing__(self, item: Any) -> int:
        self[item] = number = len(self)
        return number
