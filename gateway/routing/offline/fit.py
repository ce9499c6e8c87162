"""Fit the mixture of `model.py` with scikit-learn, on prompts whose features are at hand, and score others with it.

`Fitted.judge` is the formula of `model.py` once more, in matrices: training measures thousands of prompts with it, and
a test holds the two to the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp  # type: ignore[import-untyped]
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from gateway.routing.document import GAINS
from gateway.routing.features import Features
from gateway.routing.model import FAR, SHARE_MIN
from gateway.routing.offline import kinds
from gateway.routing.offline.dataset import Dataset, Floats


@dataclass(frozen=True, slots=True)
class Settings:
    """Chosen by cross-validation on training rows; `docs/routing.md` has the comparison."""

    min_documents: int = 8
    """Words in fewer prompts are dropped."""
    surface_limit: float = 4.0
    """Standard deviations at which a surface measure is cut off."""
    gate_c: float = 30.0
    """Inverse strength of the gate's L2 penalty; `…_c` below likewise."""
    gate_scale: float = 0.1
    """What scaled surface measures are multiplied with: it says how dear their weights are beside the words'."""
    large: int = 2000
    """Sources with as many rows get a regression over four outcomes; it wants more rows than one over two, and finds
    more: that a prompt is too hard for both models looks like need to the smaller one."""
    large_c: float = 0.3
    large_scale: float = 0.1
    small_c: float = 0.2
    small_scale: float = 0.2
    sibling: float = 0.15
    """Weight of a row in the regression of another kind of its own source."""
    nearest_spread: float = 0.25
    """Least spread of a surface measure within a kind, for the distance: a constant would rule out any difference."""
    distance_quantile: float = 0.975
    """Share of a kind's own prompts that are near enough to be familiar."""


@dataclass(frozen=True)
class Judged:
    """One value a prompt."""

    gain: Floats
    share: Floats
    """Of the likeliest kind."""
    known_words: Floats
    distance: Floats
    is_near: NDArray[np.bool_]
    """Within the likeliest kind's distance limit."""


@dataclass(frozen=True)
class Need:
    """The regression of one kind, in the terms of `document.Kind`."""

    name: str
    outcomes: tuple[str, ...]
    terms: Floats
    surface: Floats
    intercepts: Floats
    center: Floats
    spread: Floats
    distance_limit: float

    def gain(self, terms: sp.csr_matrix, surface: Floats) -> Floats:
        logits = terms @ self.terms.T + surface @ self.surface.T + self.intercepts
        chances = softmax(np.column_stack([logits, np.zeros(len(logits))]))
        gain: Floats = chances @ np.array([GAINS[outcome] for outcome in self.outcomes])
        return gain

    def distance(self, surface: Floats) -> Floats:
        return distance(surface, self.center, self.spread)


class Fitted:
    """A gate and one regression a kind, fitted on `data`, whose features are `seen`."""

    def __init__(
        self, seen: Sequence[Features], data: Dataset, settings: Settings, pieces: Mapping[str, int] | None = None
    ) -> None:
        """`pieces` is what each source is cut in; None: as many as its rows in `data` allow."""
        self.settings = settings
        self.vectorizer = TfidfVectorizer(analyzer=_words, min_df=settings.min_documents, binary=True).fit(seen)
        self.scaler = StandardScaler().fit(_surface(seen))
        terms, surface = self.terms(seen), self.surface(seen)
        self.labels = kinds.assign(data, kinds.pieces(data) if pieces is None else pieces)
        self.names = tuple(np.unique(self.labels).tolist())
        self.gate_terms, self.gate_surface, self.gate_intercepts = self._fit_gate(terms, surface)
        self.needs = [self._fit_need(name, terms, surface, data) for name in self.names]

    def terms(self, seen: Sequence[Features]) -> sp.csr_matrix:
        return self.vectorizer.transform(seen)

    def surface(self, seen: Sequence[Features]) -> Floats:
        limit = self.settings.surface_limit
        scaled: Floats = np.clip(self.scaler.transform(_surface(seen)), -limit, limit)
        return scaled

    def judge(self, seen: Sequence[Features]) -> Judged:
        terms, surface = self.terms(seen), self.surface(seen)
        shares = softmax(terms @ self.gate_terms.T + surface @ self.gate_surface.T + self.gate_intercepts)
        likeliest = shares.argmax(axis=1)
        computed = np.where(shares >= SHARE_MIN, shares, 0.0)
        gains = np.column_stack([need.gain(terms, surface) for need in self.needs])
        distances = np.column_stack([need.distance(surface) for need in self.needs])
        limits = np.array([need.distance_limit for need in self.needs])
        rows = np.arange(len(shares))
        return Judged(
            gain=(computed * gains).sum(axis=1) / computed.sum(axis=1),
            share=shares.max(axis=1),
            known_words=self._known_words(seen),
            distance=distances[rows, likeliest],
            is_near=distances[rows, likeliest] <= limits[likeliest],
        )

    def _known_words(self, seen: Sequence[Features]) -> Floats:
        known = self.vectorizer.vocabulary_
        return np.array([sum(word in known for word in one.words) / (len(one.words) or 1) for one in seen])

    def _fit_gate(self, terms: sp.csr_matrix, surface: Floats) -> tuple[Floats, Floats, Floats]:
        width, scale = terms.shape[1], self.settings.gate_scale
        if len(self.names) == 1:
            return np.zeros((1, width)), np.zeros((1, surface.shape[1])), np.zeros(1)
        gate = LogisticRegression(C=self.settings.gate_c, max_iter=500)
        gate.fit(_joined(terms, surface * scale), self.labels)
        weights, intercepts = gate.coef_, gate.intercept_
        if len(self.names) == 2:  # scikit-learn then fits the second class against the first
            weights, intercepts = np.vstack([-weights, weights]) / 2, np.append(-intercepts, intercepts) / 2
        return weights[:, :width], weights[:, width:] * scale, intercepts

    def _fit_need(self, name: str, terms: sp.csr_matrix, surface: Floats, data: Dataset) -> Need:
        source = name.partition(":")[0] if name not in data.sources else name
        family = np.flatnonzero(data.sources == source)
        own = self.labels[family] == name
        weight = np.where(own, 1.0, self.settings.sibling)
        center, spread = surface[family].mean(axis=0), surface[family].std(axis=0)
        weak, strong = data.weak[family], data.strong[family]
        is_large = len(family) >= self.settings.large
        what = kinds.outcomes(weak, strong) if is_large else kinds.versus(weak, strong)
        names = kinds.FOUR if is_large else kinds.TWO
        c = self.settings.large_c if is_large else self.settings.small_c
        scale = self.settings.large_scale if is_large else self.settings.small_scale
        scale_by = scale / np.maximum(spread, FLATTEST)
        matrix = _joined(terms[family], (surface[family] - center) * scale_by)
        present, weights, intercepts = fit_outcomes(matrix, what * weight[:, None], c=c)
        by_term, by_surface = weights[:, : terms.shape[1]], weights[:, terms.shape[1] :] * scale_by
        own_center = surface[family][own].mean(axis=0)
        own_spread = np.maximum(surface[family][own].std(axis=0), self.settings.nearest_spread)
        away = distance(surface[family][own], own_center, own_spread)
        return Need(
            name=name,
            outcomes=tuple(names[place] for place in present),
            terms=by_term,
            surface=by_surface,
            intercepts=intercepts - by_surface @ center,
            center=own_center,
            spread=own_spread,
            distance_limit=float(np.quantile(away, self.settings.distance_quantile)),
        )


FLATTEST = 0.1
"""A surface measure that hardly varies within a source is not blown up beyond this, in overall standard deviations."""


def fit_outcomes(matrix: sp.csr_matrix, what: Floats, *, c: float) -> tuple[list[int], Floats, Floats]:
    """Multinomial logistic regression on shares of outcomes: each row counts for every outcome, as much as it was that.

    Returns the columns of `what` that occur, and the weights and intercepts of all of them but the last, whose score
    is held at 0: softmax only sees differences.
    """
    present = [column for column in range(what.shape[1]) if what[:, column].any()]
    rows = [np.flatnonzero(what[:, column]) for column in present]
    label = np.repeat(np.arange(len(present)), [len(some) for some in rows])
    weight = np.concatenate([what[some, column] for some, column in zip(rows, present, strict=True)])
    fitted = LogisticRegression(C=c, max_iter=500)
    fitted.fit(sp.vstack([matrix[some] for some in rows]).tocsr(), label, sample_weight=weight)
    if len(present) == 2:
        return present, -fitted.coef_, -fitted.intercept_
    return present, fitted.coef_[:-1] - fitted.coef_[-1], fitted.intercept_[:-1] - fitted.intercept_[-1]


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def distance(surface: Floats, center: Floats, spread: Floats) -> Floats:
    squares = np.minimum(((surface - center) / spread) ** 2, FAR)
    away: Floats = squares.mean(axis=1)
    return away


def _joined(terms: sp.csr_matrix, surface: Floats) -> sp.csr_matrix:
    return sp.hstack([terms, sp.csr_matrix(surface)]).tocsr()


def _words(seen: Features) -> set[bytes]:
    return seen.words


def _surface(seen: Sequence[Features]) -> Floats:
    return np.array([one.surface for one in seen])
