"""What the operator says of models, by name: `model` or `upstream/model`, either of which may hold `*` and `?`.

The most particular name wins: an exact one before a pattern, `upstream/model` before `model`, a
longer pattern before a shorter one.
"""

import re
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from gateway.values import Target

T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    value: T
    name: str
    """The model's own name where it is written in full, else the pattern: never what a client made up."""
    is_exact: bool


class ByName(Generic[T]):
    """Compiled once; `find` costs two look-ups and a match for each pattern."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._exact = {key: value for key, value in values.items() if not _is_pattern(key)}
        patterns = sorted(filter(_is_pattern, values), key=len, reverse=True)
        self._patterns = [(_compiled(key), key, values[key]) for key in patterns]

    def find(self, target: Target) -> Found[T] | None:
        names = (str(target), target.model)
        for name in names:
            if name in self._exact:
                return Found(self._exact[name], target.model, True)
        for fits, key, value in self._patterns:
            if any(fits(name) for name in names):
                return Found(value, key, False)
        return None


def _is_pattern(key: str) -> bool:
    return "*" in key or "?" in key


def _compiled(pattern: str) -> Callable[[str], object]:
    """Only `*` and `?` are special: model names hold brackets of their own."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL).fullmatch
