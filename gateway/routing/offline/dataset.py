"""Prompts with what a cheap and an expensive model made of each: JSON lines, plain or `.gz`, checked row by row.

Three forms, told apart by their fields; scores are 0 to 1:

    {"text": "…", "weak_score": 0, "strong_score": 1}     scores: how well each model did
    {"text": "…", "need": 1}                              need: whether only the expensive one would do
    {"text": "…", "winner": "cheap"}                      pairwise: which answer won; cheap, expensive or tie

`source` and `subset` may say what kind of task it is. They may be learned from, but they are never an input, since no
client sends them.
"""

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.errors import ConfigError
from gateway.routing.features import Features, extract

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    source: str
    subset: str
    text: str
    weak: float
    strong: float
    features: Features | None = None
    """What the classifier saw, where the text was not kept; `text` then holds the known words."""


@dataclass(frozen=True)
class Dataset:
    """Rows in file order, with the fingerprint of what was read."""

    rows: tuple[Row, ...]
    fingerprint: str
    """SHA-256 over the lines that were used: it survives recompression, and names what a model was fitted on."""

    @property
    def texts(self) -> list[str]:
        return [row.text for row in self.rows]

    @property
    def seen(self) -> list[Features]:
        return [row.features or extract(row.text) for row in self.rows]

    @property
    def weak(self) -> Floats:
        return np.array([row.weak for row in self.rows])

    @property
    def strong(self) -> Floats:
        return np.array([row.strong for row in self.rows])

    @property
    def sources(self) -> NDArray[np.str_]:
        return np.array([row.source for row in self.rows], dtype=np.str_)

    @property
    def subsets(self) -> NDArray[np.str_]:
        """With the source in front: two sources may use one name."""
        return np.array([f"{row.source}/{row.subset}" for row in self.rows], dtype=np.str_)

    def take(self, chosen: NDArray[np.intp]) -> "Dataset":
        """Some of the rows, under the fingerprint of all."""
        return Dataset(tuple(self.rows[place] for place in chosen), self.fingerprint)

    def with_rows(self, other: "Dataset") -> "Dataset":
        """Both, under a fingerprint of both."""
        both = hashlib.sha256((self.fingerprint + other.fingerprint).encode()).hexdigest()
        return Dataset(self.rows + other.rows, both)

    def counts(self) -> dict[str, int]:
        names, counts = np.unique(self.sources, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))


def read(paths: Iterable[Path], *, exclude: frozenset[str] = frozenset()) -> Dataset:
    """All rows of `paths` but those whose source is in `exclude`.

    Raises ConfigError naming file and line of every row that cannot be used, ten at most.
    """
    digest = hashlib.sha256()
    rows: list[Row] = []
    problems: list[str] = []
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            if not line.strip():
                continue
            try:
                row = parse(line)
            except ValueError as exc:
                problems.append(f"{path}:{number}: {exc}")
                continue
            if row.source not in exclude:
                rows.append(row)
                digest.update(line.strip() + b"\n")
    if not rows and not problems:
        problems.append("no rows in " + ", ".join(map(str, paths)))
    if problems:
        raise ConfigError(problems[:10])
    return Dataset(tuple(rows), digest.hexdigest())


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except (OSError, EOFError) as exc:
        raise ConfigError([f"{path}: {exc}"]) from exc


def parse(line: bytes) -> Row:
    """One line of JSON as a Row; ValueError says what is wrong with it."""
    try:
        fields: Any = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc}") from exc
    if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
        raise ValueError("expected an object with a string 'text'")
    weak, strong = _outcome(fields)
    return Row(
        id=str(fields.get("id", "")),
        source=str(fields.get("source", "all")),
        subset=str(fields.get("subset", "")),
        text=fields["text"],
        weak=weak,
        strong=strong,
    )


WINNERS = {"cheap": (1.0, 0.0), "expensive": (0.0, 1.0), "tie": (0.5, 0.5)}


def _outcome(fields: dict[str, Any]) -> tuple[float, float]:
    """Scores of the cheap and the expensive model, whichever form the row has."""
    if "winner" in fields:
        winner = fields["winner"]
        if winner not in WINNERS:
            raise ValueError(f"winner: expected cheap, expensive or tie, got {winner!r}")
        return WINNERS[winner]
    if "need" in fields:
        return 1.0 - _score(fields, "need"), 1.0
    return _score(fields, "weak_score"), _score(fields, "strong_score")


def _score(fields: dict[str, Any], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)
