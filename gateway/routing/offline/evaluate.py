"""How good a router is, in the measures of the RouteLLM paper (Ong et al. 2024, arXiv:2406.18665, section 4).

A router orders prompts by how much they need the expensive model; every threshold is then one point
of a cost-quality curve: the share of calls that go to the expensive model, and the mean score reached.

PGR      performance gap recovered: (quality - cheap) / (expensive - cheap)
APGR     its mean over all shares; choosing at random gives 0.5
CPT(x)   the smallest share of expensive calls that recovers x of the gap
saved    share of calls that go cheap while keeping 95% of the expensive model's mean score

All functions take arrays of one value a prompt: `p` the router's probability, `weak` and `strong`
the outcomes, 0 to 1. `weight` counts a prompt more or less than once (sources weighted equally).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.routing.offline.dataset import Floats


@dataclass(frozen=True)
class Curve:
    """Points in order of growing cost; the first sends nothing to the expensive model, the last everything."""

    share: Floats
    """Of calls that go to the expensive model."""
    quality: Floats
    threshold: Floats
    """Prompts with at least this probability go to the expensive model; above 1 at the first point."""

    def share_at(self, quality: float) -> float:
        """The smallest share that reaches `quality`, between points on the line that joins them; 1.0 if none does."""
        reached = self.quality >= quality - 1e-12
        if not reached.any():
            return 1.0
        at = int(np.argmax(reached))
        if at == 0:
            return float(self.share[0])
        below, above = self.quality[at - 1], self.quality[at]
        part = (quality - below) / (above - below) if above > below else 1.0
        return float(self.share[at - 1] + part * (self.share[at] - self.share[at - 1]))

    def kept_at(self, threshold: float) -> float:
        """Quality at `threshold`, as a share of the expensive model's."""
        at = int(np.flatnonzero(self.threshold >= threshold)[-1])
        return float(self.quality[at] / self.quality[-1]) if self.quality[-1] else float("nan")


def curve(p: Floats, weak: Floats, strong: Floats, weight: Floats | None = None) -> Curve:
    """Prompts of equal probability are one step: no router can tell them apart."""
    weight = np.ones_like(weak) if weight is None else weight
    order = np.argsort(-p, kind="stable")
    sorted_p, sorted_weight = p[order], weight[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(sorted_p)), len(p) - 1)
    total = weight.sum()
    share = np.cumsum(sorted_weight)[last_of_ties] / total
    gained = np.cumsum(sorted_weight * (strong - weak)[order])[last_of_ties] / total
    start = float((weight * weak).sum() / total)
    return Curve(
        share=np.append(0.0, share),
        quality=np.append(start, start + gained),
        threshold=np.append(np.inf, sorted_p[last_of_ties]),
    )


def apgr(points: Curve) -> float:
    """Area under PGR over the share of expensive calls; nan where the two models are equally good."""
    low, high = points.quality[0], points.quality[-1]
    if abs(high - low) < 1e-12:
        return float("nan")
    return float(np.trapezoid((points.quality - low) / (high - low), points.share))


def cpt(points: Curve, part: float) -> float:
    """Smallest share of expensive calls that recovers `part` of the gap."""
    low, high = points.quality[0], points.quality[-1]
    return points.share_at(float(low + part * (high - low)))


def saved(points: Curve, quality: float = 0.95) -> float:
    """Share of calls that go cheap while the mean score stays at `quality` times the expensive model's."""
    return 1.0 - points.share_at(float(quality * points.quality[-1]))


def auc(p: Floats, positive: Floats, weight: Floats | None = None) -> float:
    """Chance that a prompt that needs the expensive model is ranked above one that does not; nan without both kinds."""
    weight = np.ones_like(p) if weight is None else weight
    levels, at = np.unique(p, return_inverse=True)
    yes = np.bincount(at, weight * positive, len(levels))
    no = np.bincount(at, weight * (1 - positive), len(levels))
    if yes.sum() == 0 or no.sum() == 0:
        return float("nan")
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (yes.sum() * no.sum()))


def target(weak: Floats, strong: Floats) -> Floats:
    """What a probability should be: 1 where the expensive model was better, 0 where the cheap one, 0.5 where equal."""
    return (1 + strong - weak) / 2


def brier(p: Floats, expected: Floats) -> float:
    return float(np.mean((p - expected) ** 2))


def ece(p: Floats, expected: Floats, bins: int = 10) -> float:
    """Expected calibration error over `bins` bins of equally many prompts."""
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    return float(sum(len(part) * abs(p[part].mean() - expected[part].mean()) for part in parts) / len(p))


def samples(count: int, times: int) -> Iterator[NDArray[np.intp]]:
    """Bootstrap: `times` samples of `count` prompts, drawn with replacement; always the same draws."""
    random = np.random.default_rng(0)
    for _ in range(times):
        yield random.integers(0, count, count)
