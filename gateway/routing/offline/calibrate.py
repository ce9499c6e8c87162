"""From scores to probabilities, and from a wished quality to a threshold.

Both are fitted on out-of-fold scores: scores of training prompts by weights that had not seen them.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from gateway.routing.model import Calibration, Operating
from gateway.routing.offline import evaluate
from gateway.routing.offline.dataset import Floats

QUALITIES = (0.80, 0.85, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)


def platt(scores: Floats, expected: Floats) -> Calibration:
    """Platt scaling: a logistic regression of `expected` (0..1, fractions allowed) on the score alone."""
    both = np.concatenate([scores, scores]).reshape(-1, 1)
    label = np.repeat([1, 0], len(scores))
    weight = np.concatenate([expected, 1 - expected])
    fitted = LogisticRegression(C=np.inf).fit(both, label, sample_weight=weight)
    return Calibration(slope=float(fitted.coef_[0, 0]), intercept=float(fitted.intercept_[0]))


def thresholds(
    p: Floats, weak: Floats, strong: Floats, qualities: Sequence[float] = QUALITIES
) -> tuple[Operating, ...]:
    """For each quality the highest threshold that keeps it on these prompts."""
    points = evaluate.curve(p, weak, strong)
    return tuple(operating(points, quality) for quality in sorted(qualities))


def operating(points: evaluate.Curve, quality: float) -> Operating:
    """The first point of the curve from which on `quality` is kept; 0.0 sends everything up."""
    wanted = quality * points.quality[-1]
    at = int(np.argmax(points.quality >= wanted - 1e-12))
    threshold = 1.0 if at == 0 else float(points.threshold[at])
    if at == len(points.share) - 1:
        threshold = 0.0
    return Operating(quality=quality, threshold=threshold, cheap_share=1 - float(points.share[at]))


def operating_at_cost(points: evaluate.Curve, share: float) -> Operating:
    """The last point of the curve that sends at most `share` of the calls up."""
    at = int(np.flatnonzero(points.share <= share + 1e-12)[-1])
    threshold = 1.0 if at == 0 else float(points.threshold[at])
    kept = float(points.quality[at] / points.quality[-1])
    return Operating(quality=kept, threshold=threshold, cheap_share=1 - float(points.share[at]))
