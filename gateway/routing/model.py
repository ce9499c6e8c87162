"""The trained classifier as `serve` uses it: some thousand weighted words, and no scikit-learn.

A mixture of logistic regressions, all linear in the same features x (words by binary TF-IDF, scaled surface measures).
A gate says what kind of task this is; each kind has a regression over what would come of sending the prompt up (only
the expensive model is right, only the cheap one, both, neither); a calibration makes a probability of it:

    g    = softmax(G·x + g0)                   one share a kind; kinds below 1% are left out
    P_k  = softmax(W_k·x + w_k, 0)             one probability an outcome; the last outcome's score is 0
    gain = Σ g_k (P_k[better] - P_k[worse])    expected score won by going up, -1 to 1
    p    = sigmoid(a·logit((1 + gain) / 2) + b)

p is the probability that the expensive model answers better, ties counted as half. What is written here is all there
is to it: `offline/train.py` fits the weights with scikit-learn, and a test holds both to the same numbers.

All scores of a query come out of two sums over packed rows (`lanes.py`): one row for each of its words, one for the
level of each surface measure, which holds the measure's share in the distances too.
"""

import importlib.resources
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from math import exp, log, sqrt, tanh
from operator import getitem, mul
from pathlib import Path
from typing import NamedTuple

from gateway.routing import document, features
from gateway.routing.document import GAINS, Document
from gateway.routing.lanes import Lanes
from gateway.value import value

REMEMBERED = 4096
REMEMBERED_CHARS = 2000
"""At most 8 MB of questions, of which a decision costs 40 µs the first time and 0.1 µs after that."""

SHARE_MIN = 0.01
"""Kinds the gate holds less likely than this are not computed."""
FAR = 25.0
"""The most that one surface measure adds to the distance, so that none decides alone: five standard deviations."""
SURE = 1 - 1e-9
"""Gains are kept within this, so that their logit is finite."""
FOREIGN = 0.15
"""A query with a greater share of non-ASCII bytes is not in the language of the training data: half a Cyrillic or
Chinese text would do, the accents of a French one would not (its words are unknown)."""

_NOTHING = repeat(0)
"""What an unknown word adds."""


class Verdict(NamedTuple):
    probability: float
    doubt: str | None
    """Why the query is unlike what the weights were fitted on, so that the probability means little: `long`, `foreign`,
    `unfamiliar` (its words or its shape are unknown) or `unsure` (of what kind it is). None: it is familiar."""
    kind: str
    """The kind of task the gate holds likeliest."""
    share: float
    """How likely: 0 to 1."""
    known_words: float
    """Share of its different words that occurred in training."""
    distance: float
    """Mean squared distance from the kind's typical prompt, in standard deviations; about 1 in training."""

    @property
    def is_familiar(self) -> bool:
        return self.doubt is None


@value
class _Kind:
    """One kind of task: where its numbers stand among a query's."""

    name: str
    first: int
    last: int
    """Its outcomes' scores are `logits[first:last]`."""
    gains: tuple[float, ...]
    """What each outcome is worth, that without a score included."""
    distance_limit: float

    def chances(self, logits: Sequence[float]) -> list[float]:
        return softmax([*logits[self.first : self.last], 0.0])

    def gain(self, logits: Sequence[float]) -> float:
        if len(self.gains) == 2:  # two outcomes: a plain logistic regression
            return self.gains[0] * tanh(logits[self.first] / 2)
        gain: float = sum(map(mul, self.chances(logits), self.gains))
        return gain


class _Query(NamedTuple):
    """What the weights say of a query."""

    words: int
    known: int
    norm: float
    """Of its TF-IDF vector."""
    logits: list[float]
    """The gate's, then those of each kind's outcomes."""
    distances: list[float]


class _Levels(dict[int, int]):
    """Level of one surface measure → its packed row, made when that level first occurs."""

    def __init__(self, row_of: Callable[[int], int]) -> None:
        super().__init__()
        self._row_of = row_of

    def __missing__(self, level: int) -> int:
        row = self[level] = self._row_of(level)
        return row


class Classifier:
    """Scores queries. The weights never change; what was judged lately is remembered."""

    def __init__(self, document: Document) -> None:
        self.about = document.about
        self._limits = document.limits
        self._calibration = document.calibration
        self._kinds = tuple(_kinds(document))
        linears = [document.gate, *(kind.need for kind in document.kinds)]
        scores = sum(len(linear.intercepts) for linear in linears)
        self._term_lanes = Lanes(2 + scores)
        self._terms = _packed_terms(document, self._term_lanes)
        self._surface_lanes = Lanes(scores + len(document.kinds))
        self._levels = [_Levels(row_of) for row_of in _surface_rows(document, self._surface_lanes)]
        intercepts = [number for linear in linears for number in linear.intercepts]
        self._intercepts = self._surface_lanes.pack([*intercepts, *(0.0 for _ in document.kinds)])
        self._judged: dict[str, Verdict] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> "Classifier":
        """Read a model file, or the shipped one for None. Raises ConfigError saying what is wrong with the file."""
        if path is not None:
            return cls(document.read(path))
        return cls(document.parse(shipped_bytes(), name="default_router.json"))

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

    def probability(self, query: str) -> float:
        """That the expensive tier is needed; `judge` also says whether the query is familiar."""
        return self.judge(query).probability

    def threshold(self, quality: float) -> float:
        """Expensive from this probability on, to keep `quality` (0 to 1) of the expensive model's mean score.

        The next stricter row of the file's table; beyond its strictest row 0.0: everything goes up.
        """
        stricter = [row for row in self.about.thresholds if row.quality >= quality - 1e-9]
        return min(stricter, key=lambda row: row.quality).threshold if stricter else 0.0

    def _judge(self, query: str) -> Verdict:
        return self.weigh(features.extract(query), query)

    def weigh(self, seen: features.Features, query: str = "") -> Verdict:
        """As `judge`, of features that are at hand; `query` is asked for its length and script alone."""
        looked_up = self._look_up(seen)
        shares = softmax(looked_up.logits[: len(self._kinds)])
        share = max(shares)
        place = shares.index(share)
        kind, distance = self._kinds[place], looked_up.distances[place]
        known_words = looked_up.known / (looked_up.words or 1)
        return Verdict(
            probability=self._calibrated(self._gain(looked_up.logits, shares)),
            doubt=self._doubt(query, known_words, share, distance / kind.distance_limit),
            kind=kind.name,
            share=share,
            known_words=known_words,
            distance=distance,
        )

    def _doubt(self, query: str, known_words: float, share: float, remoteness: float) -> str | None:
        if len(query) > features.MAX_CHARS:
            return "long"
        if features.foreign_share(query) > FOREIGN:
            return "foreign"
        if not known_words or known_words < self._limits.known_words_min or remoteness > 1:
            return "unfamiliar"
        return "unsure" if share < self._limits.gate_share_min else None

    def _look_up(self, seen: features.Features) -> _Query:
        packed = sum(map(self._terms.get, seen.words, _NOTHING))
        known, squares, *by_terms = self._term_lanes.unpack(packed)
        by_surface = self._surface_lanes.unpack(sum(map(getitem, self._levels, seen.surface), self._intercepts))
        norm = sqrt(squares) or 1.0
        return _Query(
            words=len(seen.words),
            known=round(known),
            norm=norm,
            logits=[score / norm + other for score, other in zip(by_terms, by_surface, strict=False)],
            distances=by_surface[len(by_terms) :],
        )

    def _gain(self, logits: list[float], shares: list[float]) -> float:
        gain = total = 0.0
        for kind, share in zip(self._kinds, shares, strict=True):
            if share >= SHARE_MIN:
                gain += share * kind.gain(logits)
                total += share
        return gain / total

    def _calibrated(self, gain: float) -> float:
        gain = max(-SURE, min(SURE, gain))
        return sigmoid(self._calibration.slope * log((1 + gain) / (1 - gain)) + self._calibration.intercept)

    def known(self, seen: features.Features) -> list[str]:
        """Those of the words that stand in the vocabulary, sorted."""
        return sorted(word.decode() for word in seen.words & self._terms.keys())

    def strongest(self, query: str, top: int) -> list[tuple[str, float]]:
        """What moved the probability of `query` most, as (feature, probability points), largest first; above 0 is up.

        Linear around this query: how much the probability would change if the feature went back to where it says
        nothing, which is absence for a word and the training mean for a surface measure.
        """
        seen = features.extract(query)
        looked_up = self._look_up(seen)
        shares = softmax(looked_up.logits[: len(self._kinds)])
        slope = self._slope(self._gain(looked_up.logits, shares))
        turns = list(self._turns(looked_up.logits, shares))
        moved = {
            name: slope * sum(turn * row[place] for place, turn in turns) for name, row in self._rows(seen, looked_up)
        }
        return sorted(moved.items(), key=lambda item: -abs(item[1]))[:top]

    def _slope(self, gain: float) -> float:
        """Change of the probability with the gain."""
        p = self._calibrated(gain)
        return p * (1 - p) * self._calibration.slope * 2 / max(1 - gain * gain, 1 - SURE)

    def _turns(self, logits: list[float], shares: list[float]) -> Iterator[tuple[int, float]]:
        """Change of the expected gain with each logit of the kinds in question, the gate's shares left as they are."""
        for kind, share in zip(self._kinds, shares, strict=True):
            if share >= SHARE_MIN:
                chances, gain = kind.chances(logits), kind.gain(logits)
                for place, chance, worth in zip(range(kind.first, kind.last), chances, kind.gains, strict=False):
                    yield place, share * chance * (worth - gain)

    def _rows(self, seen: features.Features, looked_up: _Query) -> Iterator[tuple[str, list[float]]]:
        """What each feature adds to each logit."""
        for word in sorted(seen.words):
            packed = self._terms.get(word)
            if packed is not None:
                _, _, *row = self._term_lanes.unpack(packed)
                yield f'"{word.decode()}"', [number / looked_up.norm for number in row]
        for name, levels, level in zip(features.SURFACE, self._levels, seen.surface, strict=True):
            yield name.replace("_", " "), self._surface_lanes.unpack(levels[level])


def shipped_bytes() -> bytes:
    """The model file in the package."""
    return importlib.resources.files("gateway.routing").joinpath("default_router.json").read_bytes()


def _kinds(document: Document) -> Iterator[_Kind]:
    first = len(document.kinds)
    for kind in document.kinds:
        last = first + len(kind.outcomes) - 1
        yield _Kind(kind.name, first, last, tuple(GAINS[outcome] for outcome in kind.outcomes), kind.distance_limit)
        first = last


def _packed_terms(document: Document, lanes: Lanes) -> dict[bytes, int]:
    """Word → 1 (it is known), its squared idf, and idf times its weight in every regression."""
    weights = [row for linear in (document.gate, *(kind.need for kind in document.kinds)) for row in linear.terms]
    return {
        name.encode(): lanes.pack([1.0, idf * idf, *[idf * weight for weight in column]])
        for name, idf, column in zip(document.terms.names, document.terms.idf, zip(*weights, strict=True), strict=True)
    }


def _surface_rows(document: Document, lanes: Lanes) -> Iterator[Callable[[int], int]]:
    """For each surface measure: its level → what that adds to every score and to the distance from every kind."""
    surface, kinds = document.surface, document.kinds
    linears = (document.gate, *(kind.need for kind in kinds))
    for place, (mean, scale) in enumerate(zip(surface.mean, surface.scale, strict=True)):
        weights = [row[place] for linear in linears for row in linear.surface]
        typical = [(kind.center[place], kind.spread[place]) for kind in kinds]

        def row_of(
            level: int,
            mean: float = mean,
            scale: float = scale,
            weights: Sequence[float] = weights,
            typical: Sequence[tuple[float, float]] = typical,
        ) -> int:
            value = max(-surface.limit, min(surface.limit, (level - mean) / scale))
            away = [min(FAR, ((value - center) / spread) ** 2) / len(surface.mean) for center, spread in typical]
            return lanes.pack([*[value * weight for weight in weights], *away])

        yield row_of


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
