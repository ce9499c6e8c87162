"""Fit the classifier with scikit-learn and turn it into the document that `model.py` serves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from gateway.routing import features
from gateway.routing.features import Features
from gateway.routing.model import Calibration, Document, Made, Surface, Terms
from gateway.routing.offline import calibrate, evaluate
from gateway.routing.offline.dataset import Dataset, Floats

FOLDS = 5
MIN_ROWS = 200
KNOWN_WORDS_QUANTILE = 0.002
"""A query with fewer known words than this share of the training prompts had (out of fold) counts as unfamiliar."""

Progress = Callable[[str], None]
"""Told what has just been done; `steps()` says how often."""


@dataclass(frozen=True)
class Settings:
    """Chosen on training folds; `docs/routing.md` has the comparison."""

    min_documents: int = 6
    """Terms in fewer prompts are dropped."""
    surface_scale: float = 0.2
    """Standardised surface features are multiplied by this: it shrinks their weights less than the terms'."""
    c: float = 0.5
    """Inverse strength of the L2 penalty."""
    seed: int = 0


class Fitted:
    """Scikit-learn's side of a model: vectoriser, scaler and regression, fitted on some prompts."""

    def __init__(self, seen: Sequence[Features], expected: Floats, settings: Settings) -> None:
        self.settings = settings
        self.terms = TfidfVectorizer(analyzer=_terms, min_df=settings.min_documents, binary=True)
        self.terms.fit(seen)
        self.surface = StandardScaler().fit(_surface(seen))
        self.regression = fit_fractional(self.matrix(seen), expected, c=settings.c)

    def matrix(self, seen: Sequence[Features]) -> sp.csr_matrix:
        scaled = self.surface.transform(_surface(seen)) * self.settings.surface_scale
        return sp.hstack([self.terms.transform(seen), sp.csr_matrix(scaled)]).tocsr()

    def score(self, seen: Sequence[Features]) -> Floats:
        scores: Floats = self.regression.decision_function(self.matrix(seen))
        return scores

    def known_share(self, seen: Sequence[Features]) -> Floats:
        known = self.terms.vocabulary_
        words = (one.terms[: one.words] for one in seen)
        return np.array([sum(word in known for word in some) / max(1, len(some)) for some in words])


def _terms(seen: Features) -> list[str]:
    return seen.terms


def _surface(seen: Sequence[Features]) -> Floats:
    return np.array([one.surface for one in seen])


def fit_fractional(matrix: sp.csr_matrix, expected: Floats, *, c: float) -> LogisticRegression:
    """Logistic regression on labels between 0 and 1: each row counts as a yes and as a no, in those shares."""
    yes, no = expected > 0, expected < 1
    stacked = sp.vstack([matrix[yes], matrix[no]])
    label = np.repeat([1, 0], [yes.sum(), no.sum()])
    weight = np.concatenate([expected[yes], 1 - expected[no]])
    return LogisticRegression(C=c, max_iter=1000).fit(stacked, label, sample_weight=weight)


def steps() -> int:
    return FOLDS + 3


def train(data: Dataset, *, command: str, settings: Settings | None = None, progress: Progress) -> Document:
    """Fit on all rows; calibration, thresholds and quality figures come from rows the weights had not seen."""
    settings = settings or Settings()
    seen = [features.extract(text) for text in data.texts]
    progress("features computed")
    expected = evaluate.target(data.weak, data.strong)
    scores, known = out_of_fold(seen, expected, settings, progress)
    fitted = Fitted(seen, expected, settings)
    progress("fitted on all rows")
    calibration = calibrate.platt(scores, expected)
    p = 1 / (1 + np.exp(-(calibration.slope * scores + calibration.intercept)))
    known_words_min = float(np.quantile(known, KNOWN_WORDS_QUANTILE))
    made = Made(command=command, fingerprint=data.fingerprint, rows=len(data.rows), sources=data.counts())
    document = export(fitted, calibration, p, data, made=made, known_words_min=known_words_min)
    progress("calibrated and measured")
    return document


def out_of_fold(
    seen: Sequence[Features], expected: Floats, settings: Settings, progress: Progress
) -> tuple[Floats, Floats]:
    """Score and share of known words of each prompt, by weights fitted on the other folds."""
    scores, known = np.zeros(len(seen)), np.zeros(len(seen))
    folds = KFold(FOLDS, shuffle=True, random_state=settings.seed)
    for number, (inside, outside) in enumerate(folds.split(scores), 1):
        fitted = Fitted([seen[i] for i in inside], expected[inside], settings)
        held_out = [seen[i] for i in outside]
        scores[outside] = fitted.score(held_out)
        known[outside] = fitted.known_share(held_out)
        progress(f"fold {number} of {FOLDS}")
    return scores, known


def export(
    fitted: Fitted, calibration: Calibration, p: Floats, data: Dataset, *, made: Made, known_words_min: float
) -> Document:
    """Everything serving needs as plain numbers; `p` are the out-of-fold probabilities of `data`."""
    names = fitted.terms.get_feature_names_out().tolist()
    weights = fitted.regression.coef_[0]
    need_terms, need_surface = weights[: len(names)], weights[len(names) :]
    scale = fitted.surface.scale_ / fitted.settings.surface_scale
    return Document(
        format="llm-gateway-router",
        schema_version=1,
        features_version=features.VERSION,
        made=made,
        kinds=("all",),
        gate_intercepts=(0.0,),
        need_intercepts=(float(fitted.regression.intercept_[0]),),
        terms=Terms(
            names=tuple(names),
            idf=_rounded(fitted.terms.idf_),
            gate=((0.0,) * len(names),),
            need=(_rounded(need_terms),),
        ),
        surface=Surface(
            names=features.SURFACE,
            mean=_rounded(fitted.surface.mean_),
            scale=_rounded(scale),
            gate=((0.0,) * len(scale),),
            need=(_rounded(need_surface),),
        ),
        calibration=calibration,
        known_words_min=known_words_min,
        thresholds=calibrate.thresholds(p, data.weak, data.strong),
        quality=quality(p, data),
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    """Eight significant digits: the file is half as large and probabilities move by less than 1e-7."""
    return tuple(float(f"{value:.8g}") for value in values)


def quality(p: Floats, data: Dataset) -> dict[str, float]:
    """The figures that a model file carries about itself."""
    points = evaluate.curve(p, data.weak, data.strong)
    expected = evaluate.target(data.weak, data.strong)
    return {
        "apgr": evaluate.apgr(points),
        "auc": evaluate.auc(p, (data.strong > data.weak).astype(float)),
        "brier": evaluate.brier(p, expected),
        "ece": evaluate.ece(p, expected),
        "cpt50": evaluate.cpt(points, 0.5),
        "cpt80": evaluate.cpt(points, 0.8),
        "saved_at_95": evaluate.saved(points, 0.95),
    }
