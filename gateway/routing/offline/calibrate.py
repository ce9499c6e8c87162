"""From scores to probabilities, and from a wished quality to a threshold.

Both are fitted on out-of-fold scores: scores of training prompts by weights that had not seen them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from gateway.routing.document import Calibration, Operating
from gateway.routing.model import SURE
from gateway.routing.offline import evaluate
from gateway.routing.offline.dataset import Floats

QUALITIES = (0.80, 0.85, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)
RESAMPLES = 400


def platt(scores: Floats, expected: Floats) -> Calibration:
    """Platt scaling: a logistic regression of `expected` (0..1, fractions allowed) on the score alone."""
    both = np.concatenate([scores, scores]).reshape(-1, 1)
    label = np.repeat([1, 0], len(scores))
    weight = np.concatenate([expected, 1 - expected])
    fitted = LogisticRegression(C=np.inf).fit(both, label, sample_weight=weight)
    return Calibration(slope=float(fitted.coef_[0, 0]), intercept=float(fitted.intercept_[0]))


def probabilities(gain: Floats, calibration: Calibration) -> Floats:
    """The last line of the formula in `model.py`."""
    gain = np.clip(gain, -SURE, SURE)
    p: Floats = 1 / (1 + np.exp(-(calibration.slope * np.log((1 + gain) / (1 - gain)) + calibration.intercept)))
    return p


def thresholds(
    p: Floats,
    is_familiar: NDArray[np.bool_],
    weak: Floats,
    strong: Floats,
    qualities: Sequence[float] = QUALITIES,
) -> tuple[Operating, ...]:
    """For each quality the highest threshold that keeps it on these prompts, the unfamiliar ones going up anyway."""
    served = np.where(is_familiar, p, 1.0)
    points = evaluate.curve(served, weak, strong)
    return tuple(
        with_interval(threshold_for(points, quality), quality, served, weak, strong) for quality in sorted(qualities)
    )


def threshold_for(points: evaluate.Curve, quality: float) -> float:
    """The threshold of the first point of the curve that reaches `quality`; 0.0 sends everything up."""
    at = int(np.argmax(points.quality >= quality * points.quality[-1] - 1e-12))
    return _threshold_at(points, at)


def threshold_at_cost(points: evaluate.Curve, share: float) -> float:
    """The threshold of the last point of the curve that sends at most `share` of the calls up."""
    return _threshold_at(points, int(np.flatnonzero(points.share <= share + 1e-12)[-1]))


def _threshold_at(points: evaluate.Curve, at: int) -> float:
    if at == 0:
        return 1.0
    return 0.0 if at == len(points.share) - 1 else float(points.threshold[at])


def with_interval(threshold: float, quality: float, p: Floats, weak: Floats, strong: Floats) -> Operating:
    """`threshold` with what it does on these prompts, and how sure that is."""
    reached = np.where(p >= threshold, strong, weak)
    kept = [reached[some].mean() / strong[some].mean() for some in evaluate.samples(len(p), RESAMPLES)]
    low, high = np.quantile(kept, [0.025, 0.975])
    return Operating(
        quality=quality,
        threshold=threshold,
        cheap_share=float(np.mean(p < threshold)),
        low=float(low),
        high=float(high),
    )
