"""The model file: what stands in it, how it is read, and what makes one unusable.

JSON with a checksum over everything else: no pickle, so loading a file cannot run code, and equal models are equal
bytes. Written by `offline/train.py`, read by `model.py`, which has the formula these numbers go into.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.errors import ConfigError
from gateway.routing import features

SCHEMA = 2
MAX_BYTES = 32 * 2**20
"""A file beyond this is not one of ours: the shipped one has under 5 MB."""

GAINS = {"better": 1.0, "worse": -1.0, "both": 0.0, "neither": 0.0}
"""Outcomes of sending a prompt up, and what each is worth: only the expensive model is right, only the cheap one,
both, or neither."""

Weight = Annotated[float, Field(ge=-1000, le=1000)]
"""Far beyond any trained one. Sums of `Weight` times `Idf` over all words of a prompt stay within `lanes.LIMIT`."""
Idf = Annotated[float, Field(ge=0, le=100)]
Row = tuple[Weight, ...]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Terms(Part):
    """The vocabulary: words, each with its rarity."""

    names: tuple[str, ...]
    idf: tuple[Idf, ...]


class Surface(Part):
    """A surface measure enters as `(level - mean) / scale`, cut off at `limit` on both sides."""

    names: tuple[str, ...]
    mean: Row
    scale: Row
    limit: Annotated[float, Field(gt=0, le=100)]


class Linear(Part):
    """Rows of weights over terms and surface measures, one for each class, and an intercept for each."""

    terms: tuple[Row, ...]
    surface: tuple[Row, ...]
    intercepts: Row

    def problem(self, rows: int, terms: int, surface: int) -> str | None:
        if not len(self.terms) == len(self.surface) == len(self.intercepts) == rows:
            return f"expected {rows} rows of weights and as many intercepts"
        if any(len(row) != terms for row in self.terms) or any(len(row) != surface for row in self.surface):
            return f"expected rows of {terms} term and {surface} surface weights"
        return None


class Kind(Part):
    """One kind of task: the regression over its outcomes, and what its prompts look like."""

    name: str
    outcomes: tuple[Literal["better", "worse", "both", "neither"], ...]
    need: Linear
    """One row for each outcome but the last, whose score is 0."""
    center: Row
    """Mean of each scaled surface measure over the kind's own prompts."""
    spread: Row
    """Its standard deviation there, never quite 0."""
    distance_limit: Annotated[float, Field(gt=0)]
    """Prompts further from the center than this are unfamiliar."""


class Calibration(Part):
    slope: float
    intercept: float


class Operating(Part):
    """One row of the threshold table, measured on training prompts the weights had not seen."""

    quality: float
    """Share of the expensive model's mean score that is kept."""
    threshold: float
    cheap_share: Share
    low: float
    high: float
    """95% interval of the quality at this threshold, over resampled prompts."""


class Made(Part):
    """Where the weights come from, for whoever audits them."""

    command: str
    fingerprint: str
    rows: int
    sources: dict[str, int]


class Limits(Part):
    """Where the model stops trusting itself."""

    known_words_min: Share
    """A query with a smaller share of known words is unfamiliar."""
    gate_share_min: Share
    """A query whose likeliest kind has a smaller share is of no kind in particular."""


class About(Part):
    """What the file says of itself."""

    made: Made
    thresholds: Annotated[tuple[Operating, ...], Field(min_length=1)]
    quality: dict[str, float]
    """Measures over training prompts the weights had not seen (`offline/evaluate.py` says what each is)."""
    deciles: dict[str, tuple[float, ...]]
    """Nine cuts each of probability, gate share, known words and characters over training prompts: what drift is
    measured against."""


class Document(Part):
    """The file, as written and as read."""

    format: Literal["llm-gateway-router"]
    schema_version: Literal[2]
    features_version: int
    about: About
    terms: Terms
    surface: Surface
    gate: Linear
    """One row a kind."""
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    calibration: Calibration
    limits: Limits

    @model_validator(mode="after")
    def _fits_together(self) -> "Document":
        if self.features_version != features.VERSION or self.surface.names != features.SURFACE:
            raise ValueError("was trained on other features than this version computes: train it again")
        terms, surface = len(self.terms.names), len(self.surface.names)
        if len(self.terms.idf) != terms:
            raise ValueError(f"terms.idf: expected {terms} numbers")
        if not len(self.surface.mean) == len(self.surface.scale) == surface or min(self.surface.scale) <= 0:
            raise ValueError(f"surface: expected {surface} means and {surface} scales > 0")
        if problem := self.gate.problem(len(self.kinds), terms, surface):
            raise ValueError(f"gate: {problem}")
        for place, kind in enumerate(self.kinds):
            if problem := _kind_problem(kind, terms, surface):
                raise ValueError(f"kinds.{place}: {problem}")
        return self


def _kind_problem(kind: Kind, terms: int, surface: int) -> str | None:
    if len(kind.outcomes) < 2 or len(set(kind.outcomes)) != len(kind.outcomes):
        return "expected at least two outcomes, all different"
    if not len(kind.center) == len(kind.spread) == surface or min(kind.spread) <= 0:
        return f"expected {surface} centers and {surface} spreads > 0"
    return kind.need.problem(len(kind.outcomes) - 1, terms, surface)


def read(path: Path) -> Document:
    """Raises ConfigError saying what is wrong with the file."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigError([f"{path}: the router model cannot be read: {exc.strerror}"]) from exc
    return parse(data, name=str(path))


def parse(data: bytes, *, name: str) -> Document:
    """The bytes of a model file as a checked Document; `name` is how messages call the file."""
    if len(data) > MAX_BYTES:
        raise ConfigError([f"{name}: {len(data):,} bytes are too many for a router model"])
    try:
        fields: Any = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise ConfigError([f"{name}: not a router model: {exc}"]) from exc
    model = fields.get("model") if isinstance(fields, dict) else None
    if not isinstance(model, dict) or model.get("format") != "llm-gateway-router":
        raise ConfigError([f"{name}: not a router model: expected a file made by `gateway router train`"])
    if model.get("schema_version") != SCHEMA:
        found = model.get("schema_version")
        raise ConfigError([f"{name}: schema_version {found!r} is not {SCHEMA}: train it again with this version"])
    body = data.rstrip()[len(_head(b"")) : -1]
    if not data.startswith(_head(body)):
        raise ConfigError([f"{name}: the checksum does not match: the file was damaged or edited"])
    try:
        return Document.model_validate_json(body)
    except ValidationError as exc:
        raise ConfigError([_line(name, error) for error in exc.errors()[:10]]) from exc


def _line(name: str, error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    return f"{name}: {where + ': ' if where else ''}{error['msg']}"


def dump(document: Document) -> bytes:
    return seal(document.model_dump_json().encode())


def seal(body: bytes) -> bytes:
    """The file around the JSON of a document: `{"sha256": …, "model": BODY}`."""
    return _head(body) + body + b"}\n"


def _head(body: bytes) -> bytes:
    return b'{"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'","model":'
