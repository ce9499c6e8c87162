"""How far a route's traffic has moved from what its classifier was trained on, and how far its probabilities are off.

The population stability index compares a window of decisions with the training deciles, which stand in the model file:
Σ (share now - 0.1) · ln(share now / 0.1) over ten bins. By custom (Siddiqi 2006) below 0.1 nothing has happened, and
above 0.25 the model is looking at something else. The window forgets by halving, so that it holds one to two times
`WINDOW` decisions.

Calibration is measured on labels, as they come in: the mean squared difference of probability and outcome (Brier), and
their mean difference, the *bias*: above 0 the cheap tier does worse than the classifier believes.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from math import log, sqrt

from gateway.routing.model import Verdict

WINDOW = 1024
LABELS = 256
"""Outcomes remembered for calibration."""
LABELS_MIN = 50
"""Before so many nothing is concluded from them."""
_BINS = 10
_FEWEST = 0.001
"""Share a bin counts with at least, so that an empty one does not make the index infinite."""


class Drift:
    """What one route's decisions looked like lately. `deciles`: measure → nine cuts, from the model file."""

    def __init__(self, deciles: Mapping[str, tuple[float, ...]]) -> None:
        self._deciles = deciles
        self._counts = {name: [0.0] * _BINS for name in deciles}
        self._seen = 0.0
        self._labels: deque[tuple[float, float]] = deque(maxlen=LABELS)
        """Probability and outcome, 0 to 1."""

    def see(self, verdict: Verdict, characters: int) -> None:
        """A decision was made; 2 µs, so callers may show a sample only."""
        if self._seen >= 2 * WINDOW:
            self._seen /= 2
            self._counts = {name: [count / 2 for count in counts] for name, counts in self._counts.items()}
        self._seen += 1
        measured = {
            "probability": verdict.probability,
            "gate_share": verdict.share,
            "known_words": verdict.known_words,
            "characters": characters,
        }
        for name, counts in self._counts.items():
            counts[bisect_right(self._deciles[name], measured[name])] += 1

    def stability(self) -> dict[str, float]:
        """Measure → its index; empty until there are enough decisions to say anything."""
        if self._seen < WINDOW / 4:
            return {}
        return {name: self._index(name) for name in self._counts}

    def _index(self, name: str) -> float:
        expected = _expected(self._deciles[name])
        shares = [max(_FEWEST, count / self._seen) for count in self._counts[name]]
        return sum(
            (share - usual) * log(share / usual) for share, usual in zip(shares, expected, strict=True) if usual > 0
        )

    def label(self, probability: float, outcome: float) -> None:
        """It became known how the two tiers did: 1 the expensive one better, 0 the cheap one, 0.5 alike."""
        self._labels.append((probability, outcome))

    @property
    def labels(self) -> int:
        return len(self._labels)

    def brier(self) -> float | None:
        """None until there are enough labels."""
        if len(self._labels) < LABELS_MIN:
            return None
        return sum((outcome - p) ** 2 for p, outcome in self._labels) / len(self._labels)

    def bias(self) -> float:
        """By how much outcomes exceed probabilities, as far as that is no chance: 0.0 within two standard errors."""
        count = len(self._labels)
        if count < LABELS_MIN:
            return 0.0
        away = [outcome - p for p, outcome in self._labels]
        mean = sum(away) / count
        error = sqrt(sum((one - mean) ** 2 for one in away) / (count - 1) / count)
        return mean if abs(mean) > 2 * error else 0.0


def _expected(cuts: tuple[float, ...]) -> list[float]:
    """The share of training prompts in each bin: a tenth, but for cuts that coincide, whose tenths fall into one bin
    (half of all prompts may have no unknown word at all)."""
    shares = [0.0] * _BINS
    for place in range(_BINS):
        cut = cuts[place] if place < len(cuts) else None
        shares[_BINS - 1 if cut is None else bisect_right(cuts, cut) if cut in cuts[:place] else place] += 1 / _BINS
    return shares
