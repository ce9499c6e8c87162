"""The trained classifier as `serve` uses it: a JSON file of weights, a few dictionary look-ups, no scikit-learn.

A mixture of logistic regressions, each linear in the same features x (binary TF-IDF of word 1- and 2-grams, scaled
surface features). A gate says what kind of task this is, one regression a kind says how much it needs the expensive
model, and the calibration makes a probability of their weighted mean:

    g = softmax(G·x + g0)          one share a kind
    z = Σ g_k (W_k·x + w0_k)       a score
    p = 1 / (1 + exp(-(a·z + b)))  probability that the expensive model answers better, ties counted as half

With one kind the gate is 1 and this is plain logistic regression. What is written here is all there is to the
formula; `offline/train.py` fits it with scikit-learn and checks that both agree.
"""

import hashlib
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from operator import mul
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from gateway.errors import ConfigError
from gateway.routing import features

MAX_BYTES = 32 * 2**20
"""A file beyond this is not one of ours: the shipped one has under 5 MB."""

REMEMBERED = 4096
REMEMBERED_CHARS = 2000
"""At most 8 MB of questions, of which a decision costs 0.1 ms the first time and 0.1 µs after that."""

Weights = tuple[tuple[float, ...], ...]
"""One row for each kind."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Terms(Part):
    """The vocabulary: word 1- and 2-grams, each with its rarity and its weights."""

    names: tuple[str, ...]
    idf: tuple[float, ...]
    gate: Weights
    need: Weights


class Surface(Part):
    """`(value - mean) / scale` is what a weight is multiplied with."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    gate: Weights
    need: Weights


class Calibration(Part):
    slope: float
    intercept: float


class Operating(Part):
    """One row of the threshold table, measured on training prompts the weights had not seen."""

    quality: float
    """Share of the expensive model's mean score that is kept."""
    threshold: float
    cheap_share: float


class Made(Part):
    """Where the weights come from, for whoever audits them."""

    command: str
    fingerprint: str
    rows: int
    sources: dict[str, int]


class Document(Part):
    """The file, as written and as read."""

    format: Literal["llm-gateway-router"]
    schema_version: Literal[1]
    features_version: int
    made: Made
    kinds: tuple[str, ...]
    gate_intercepts: tuple[float, ...]
    need_intercepts: tuple[float, ...]
    terms: Terms
    surface: Surface
    calibration: Calibration
    known_words_min: float
    """A query with a smaller share of known words is unfamiliar, and goes up."""
    thresholds: tuple[Operating, ...]
    quality: dict[str, float]
    """Measures over training prompts the weights had not seen (`offline/evaluate.py` says what each is)."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Document":
        if self.features_version != features.VERSION or self.surface.names != features.SURFACE:
            raise ValueError("was trained on other features than this version computes: train it again")
        kinds = len(self.kinds)
        if not kinds or len(self.gate_intercepts) != kinds or len(self.need_intercepts) != kinds:
            raise ValueError(f"expected one gate and one need intercept for each of {kinds} kinds")
        for name, part in (("terms", self.terms), ("surface", self.surface)):
            width = len(part.names)
            rows = (*part.gate, *part.need)
            if len(part.gate) != kinds or len(part.need) != kinds or any(len(row) != width for row in rows):
                raise ValueError(f"{name}: expected {kinds} rows of {width} weights for gate and need")
        if len(self.terms.idf) != len(self.terms.names):
            raise ValueError("terms.idf: expected one number a term")
        if not len(self.surface.mean) == len(self.surface.scale) == len(self.surface.names):
            raise ValueError("surface: expected one mean and one scale a feature")
        if min(self.surface.scale, default=1.0) <= 0:
            raise ValueError("surface.scale: expected numbers > 0")
        if not self.thresholds:
            raise ValueError("thresholds: expected at least one row")
        return self


@dataclass(frozen=True, slots=True)
class Verdict:
    probability: float
    is_familiar: bool
    """False: the query is unlike what the weights were fitted on, so the probability means little."""
    kind: str
    """The task type the gate holds likeliest."""


class Classifier:
    """Scores queries. The weights never change; what was judged lately is remembered."""

    def __init__(self, document: Document) -> None:
        self.document = document
        kinds = len(document.kinds)
        terms, surface = document.terms, document.surface
        self._kinds = kinds
        self._term_rows = {
            name: (idf * idf, *(idf * weight for weight in weights))
            for name, idf, *weights in zip(terms.names, terms.idf, *terms.gate, *terms.need, strict=True)
        }
        columns = (*surface.gate, *surface.need)
        self._surface_rows = [tuple(w / s for w, s in zip(row, surface.scale, strict=True)) for row in columns]
        self._offsets = [
            intercept - sum(w * m for w, m in zip(row, surface.mean, strict=True))
            for intercept, row in zip(
                (*document.gate_intercepts, *document.need_intercepts), self._surface_rows, strict=True
            )
        ]
        self._judged: dict[str, Verdict] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> "Classifier":
        """Read a model file, or the shipped one for None. Raises ConfigError saying what is wrong with the file."""
        if path is None:
            resource = importlib.resources.files("gateway.routing").joinpath("default_router.json")
            return cls(parse(resource.read_bytes(), name="default_router.json"))
        try:
            data = path.read_bytes()
        except OSError as exc:
            raise ConfigError([f"{path}: the router model cannot be read: {exc.strerror}"]) from exc
        return cls(parse(data, name=str(path)))

    def judge(self, query: str) -> Verdict:
        """Probability in (0, 1) that the expensive model answers `query` better, and how far to believe it.

        What was judged lately is remembered, since repeats are what a cache in front of a model lives on.
        """
        verdict = self._judged.get(query)
        if verdict is None:
            verdict = self._judge(query)
            if len(query) <= REMEMBERED_CHARS:
                if len(self._judged) >= REMEMBERED:
                    self._judged.clear()
                self._judged[query] = verdict
        return verdict

    def _judge(self, query: str) -> Verdict:
        seen = features.extract(query)
        logits = self._logits([row for row in map(self._term_rows.get, set(seen.terms)) if row is not None], seen)
        shares = softmax(logits[: self._kinds])
        score = sum(share * need for share, need in zip(shares, logits[self._kinds :], strict=True))
        calibration = self.document.calibration
        words = seen.terms[: seen.words]
        known = sum(word in self._term_rows for word in words)
        return Verdict(
            probability=sigmoid(calibration.slope * score + calibration.intercept),
            is_familiar=bool(words) and known >= self.document.known_words_min * len(words),
            kind=self.document.kinds[max(range(self._kinds), key=shares.__getitem__)],
        )

    def _logits(self, rows: list[tuple[float, ...]], seen: features.Features) -> list[float]:
        """Gate and need logit of each kind; `rows` are those of the known terms."""
        columns = zip(*rows, strict=True) if rows else [(0.0,)] * (2 * self._kinds + 1)
        squares, *sums = map(sum, columns)
        norm = sqrt(squares) or 1.0
        return [
            total / norm + offset + sum(map(mul, row, seen.surface))
            for total, offset, row in zip(sums, self._offsets, self._surface_rows, strict=True)
        ]

    def probability(self, query: str) -> float:
        """That the expensive tier is needed; `judge` also says whether the query is familiar."""
        return self.judge(query).probability

    def strongest(self, query: str, top: int) -> list[tuple[str, float]]:
        """What moved the score of `query` most, as (feature, contribution), largest first; above 0 is up.

        Contributions are in logits before calibration, each kind's weighted with its share, and surface features count
        from their training mean.
        """
        seen = features.extract(query)
        rows = {term: self._term_rows[term] for term in set(seen.terms) if term in self._term_rows}
        norm = sqrt(sum(row[0] for row in rows.values())) or 1.0
        shares = softmax(self._logits(list(rows.values()), seen)[: self._kinds])
        first = 1 + self._kinds
        moved = {
            f'"{term}"': sum(share * weight for share, weight in zip(shares, row[first:], strict=True)) / norm
            for term, row in rows.items()
        }
        surface = self.document.surface
        for place, name in enumerate(surface.names):
            away = (seen.surface[place] - surface.mean[place]) / surface.scale[place]
            moved[name] = away * sum(s * row[place] for s, row in zip(shares, surface.need, strict=True))
        return sorted(moved.items(), key=lambda item: -abs(item[1]))[:top]

    def threshold(self, quality: float) -> float:
        """Expensive from this probability on, to keep `quality` (0 to 1) of the expensive model's mean score.

        The next stricter row of the file's table; beyond its strictest row 0.0: everything goes up.
        """
        stricter = [row for row in self.document.thresholds if row.quality >= quality - 1e-9]
        return min(stricter, key=lambda row: row.quality).threshold if stricter else 0.0


def softmax(logits: Sequence[float]) -> list[float]:
    top = max(logits)
    powers = [exp(logit - top) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def sigmoid(score: float) -> float:
    """Written so that neither end overflows."""
    if score >= 0:
        return 1 / (1 + exp(-score))
    return exp(score) / (1 + exp(score))


def parse(data: bytes, *, name: str) -> Document:
    """The bytes of a model file as a checked Document; `name` is how messages call the file."""
    if len(data) > MAX_BYTES:
        raise ConfigError([f"{name}: {len(data):,} bytes are too many for a router model"])
    try:
        fields: Any = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise ConfigError([f"{name}: not a router model: {exc}"]) from exc
    if not isinstance(fields, dict) or fields.get("format") != "llm-gateway-router":
        raise ConfigError([f'{name}: not a router model: expected an object with "format": "llm-gateway-router"'])
    if fields.get("schema_version") != 1:
        found = fields.get("schema_version")
        raise ConfigError([f"{name}: schema_version {found!r} is not 1: train it again with this version"])
    fields, checksum = {key: value for key, value in fields.items() if key != "checksum"}, fields.get("checksum")
    if checksum != checksum_of(fields):
        raise ConfigError([f"{name}: the checksum does not match: the file was damaged or edited"])
    try:
        return Document.model_validate_json(orjson.dumps(fields))
    except ValidationError as exc:
        raise ConfigError([_line(name, error) for error in exc.errors()[:10]]) from exc


def _line(name: str, error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    return f"{name}: {where + ': ' if where else ''}{error['msg']}"


def dump(document: Document) -> bytes:
    """The file's bytes, with a checksum over everything else; equal documents give equal bytes."""
    fields = orjson.loads(document.model_dump_json())
    return orjson.dumps({**fields, "checksum": checksum_of(fields)}) + b"\n"


def checksum_of(fields: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()
