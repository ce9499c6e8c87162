"""From prompts with outcomes to the document that `model.py` serves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from gateway.routing import document as file
from gateway.routing import features
from gateway.routing.document import Document
from gateway.routing.features import Features
from gateway.routing.model import SURE
from gateway.routing.offline import calibrate, evaluate, kinds
from gateway.routing.offline.dataset import Dataset, Floats
from gateway.routing.offline.fit import Fitted, Judged, Settings
from gateway.routing.offline.groups import near_duplicates

FOLDS = 5
MIN_ROWS = 200
UNKNOWN_QUANTILE = 0.005
"""Share of the training prompts that have too few known words to be familiar, out of fold."""
UNSURE_QUANTILE = 0.02
"""Share of the training prompts whose kind the gate is too unsure of, out of fold."""
STEPS = FOLDS + 4

Progress = Callable[[str], None]
"""Told what has just been done, `STEPS` times."""


@dataclass(frozen=True)
class OutOfFold:
    """Training prompts judged by weights that had seen neither them nor a near-duplicate of them."""

    judged: Judged
    calibration: file.Calibration
    known_words_min: float
    gate_share_min: float

    @property
    def p(self) -> Floats:
        return calibrate.probabilities(self.judged.gain, self.calibration)

    @property
    def is_familiar(self) -> NDArray[np.bool_]:
        judged = self.judged
        is_known = (judged.known_words >= self.known_words_min) & (judged.share >= self.gate_share_min)
        return is_known & judged.is_near


def train(data: Dataset, *, command: str, settings: Settings | None = None, progress: Progress) -> Document:
    """Fit on all rows; calibration, thresholds and quality figures come from rows the weights had not seen."""
    settings = settings or Settings()
    seen = data.seen
    progress("features computed")
    groups = near_duplicates(data.texts)
    progress(f"{len(np.unique(groups)):,} groups of near-duplicates")
    held_out = out_of_fold(seen, data, groups, settings, progress)
    fitted = Fitted(seen, data, settings)
    progress("fitted on all rows")
    made = file.Made(command=command, fingerprint=data.fingerprint, rows=len(data.rows), sources=data.counts())
    document = export(fitted, held_out, data, made)
    progress("calibrated and measured")
    return document


def out_of_fold(
    seen: Sequence[Features], data: Dataset, groups: NDArray[np.intp], settings: Settings, progress: Progress
) -> OutOfFold:
    judged = [np.zeros(len(seen)) for _ in range(5)]
    pieces = kinds.pieces(data)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for number, (inside, outside) in enumerate(folds.split(groups, data.sources, groups), 1):
        fitted = Fitted([seen[i] for i in inside], data.take(inside), settings, pieces)
        found = fitted.judge([seen[i] for i in outside])
        values = (found.gain, found.share, found.known_words, found.distance, found.is_near)
        for column, value in zip(judged, values, strict=True):
            column[outside] = value
        progress(f"fold {number} of {FOLDS}")
    gain, share, known_words, distance, is_near = judged
    return OutOfFold(
        judged=Judged(gain, share, known_words, distance, is_near.astype(bool)),
        calibration=calibrate.platt(logit(gain), evaluate.target(data.weak, data.strong)),
        known_words_min=float(np.quantile(known_words, UNKNOWN_QUANTILE)),
        gate_share_min=float(np.quantile(share, UNSURE_QUANTILE)),
    )


def logit(gain: Floats) -> Floats:
    """Log odds that going up wins, where ties count as half: what Platt scaling is applied to."""
    gain = np.clip(gain, -SURE, SURE)
    odds: Floats = np.log((1 + gain) / (1 - gain))
    return odds


def export(fitted: Fitted, held_out: OutOfFold, data: Dataset, made: file.Made) -> Document:
    """Everything serving needs as plain numbers."""
    return Document(
        format="llm-gateway-router",
        schema_version=2,
        features_version=features.VERSION,
        about=file.About(
            made=made,
            thresholds=calibrate.thresholds(held_out.p, held_out.is_familiar, data.weak, data.strong),
            quality=quality(held_out, data),
            deciles=_deciles(held_out, data),
        ),
        terms=file.Terms(
            names=tuple(word.decode() for word in fitted.vectorizer.get_feature_names_out()),
            idf=_row(fitted.vectorizer.idf_),
        ),
        surface=file.Surface(
            names=features.SURFACE,
            mean=_row(fitted.scaler.mean_),
            scale=_row(fitted.scaler.scale_),
            limit=fitted.settings.surface_limit,
        ),
        gate=_linear(fitted.gate_terms, fitted.gate_surface, fitted.gate_intercepts),
        kinds=tuple(_kinds(fitted)),
        calibration=held_out.calibration,
        limits=file.Limits(known_words_min=held_out.known_words_min, gate_share_min=held_out.gate_share_min),
    )


def _kinds(fitted: Fitted) -> list[file.Kind]:
    return [
        file.Kind.model_validate(
            {
                "name": need.name,
                "outcomes": need.outcomes,
                "need": _linear(need.terms, need.surface, need.intercepts),
                "center": _row(need.center),
                "spread": _row(need.spread),
                "distance_limit": need.distance_limit,
            }
        )
        for need in fitted.needs
    ]


def _linear(terms: Floats, surface: Floats, intercepts: Floats) -> file.Linear:
    return file.Linear(terms=tuple(map(_row, terms)), surface=tuple(map(_row, surface)), intercepts=_row(intercepts))


def _row(values: Floats) -> tuple[float, ...]:
    """Seven significant digits: the file is half as large, and probabilities move by less than 1e-7."""
    return tuple(float(f"{value:.7g}") for value in values)


def _deciles(held_out: OutOfFold, data: Dataset) -> dict[str, tuple[float, ...]]:
    measured = {
        "probability": held_out.p,
        "gate_share": held_out.judged.share,
        "known_words": held_out.judged.known_words,
        "characters": np.array([float(len(text)) for text in data.texts]),
    }
    return {name: _row(np.quantile(values, np.arange(1, 10) / 10)) for name, values in measured.items()}


def quality(held_out: OutOfFold, data: Dataset) -> dict[str, float]:
    """The figures that a model file carries about itself."""
    points = evaluate.curve(held_out.p, data.weak, data.strong)
    expected = evaluate.target(data.weak, data.strong)
    return {
        "apgr": evaluate.apgr(points),
        "auc": evaluate.auc(held_out.p, (data.strong > data.weak).astype(float)),
        "brier": evaluate.brier(held_out.p, expected),
        "ece": evaluate.ece(held_out.p, expected),
        "cpt50": evaluate.cpt(points, 0.5),
        "cpt80": evaluate.cpt(points, 0.8),
        "saved_at_95": evaluate.saved(points, 0.95),
        "unfamiliar": float(1 - held_out.is_familiar.mean()),
    }
