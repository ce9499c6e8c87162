"""Whether a candidate may take the place of the model in force, and the files that change when it does.

It has to be shown to be no worse, on prompts that it was not fitted on: the lower end of the 95% interval of the
difference, drawn on the same prompts, must not lie further below zero than `margin`. Few labels make wide intervals, so
too few refuse by themselves.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.routing.decide import DEFAULT_QUALITY
from gateway.routing.model import Classifier
from gateway.routing.offline import evaluate
from gateway.routing.offline.dataset import Dataset, Floats
from gateway.routing.offline.report import Interval, Scored, measures

MARGIN = 0.05
MIN_ROWS = 50
RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Trial:
    """Candidate against the model in force, on held-out prompts."""

    prompts: int
    apgr: Interval
    """Difference; above zero the candidate is better."""
    kept: Interval
    """Difference of the quality kept, each at its own threshold."""
    candidate_kept: Interval
    reasons: tuple[str, ...]
    """Why it is refused; empty if it is not."""


def try_out(candidate: Classifier, current: Classifier, data: Dataset, *, margin: float = MARGIN) -> Trial:
    new, old = _figures(candidate, data), _figures(current, data)
    apgr, kept = (_interval(column) for column in (new - old).T)
    candidate_kept = _interval(new[:, 1])
    reasons = []
    if len(data.rows) < MIN_ROWS:
        reasons.append(f"{len(data.rows)} held-out labels are too few: {MIN_ROWS} are the least")
    if not apgr.low >= -margin:
        reasons.append(f"its APGR may be worse by more than {margin:g}: {_shown(apgr)}")
    if not (kept.low >= -margin or candidate_kept.low >= DEFAULT_QUALITY):
        reasons.append(f"the quality it keeps may be worse by more than {margin:g}: {_shown(kept)}")
    return Trial(len(data.rows), apgr, kept, candidate_kept, tuple(reasons))


def _figures(classifier: Classifier, data: Dataset) -> Floats:
    """APGR and quality kept, of all prompts in the first row, and of each draw of them. APGR is as served: what the
    model does not know goes up, so that one that knows nothing of the traffic is no better than chance there."""
    served, threshold = Scored.of(classifier, data).served(), classifier.threshold(DEFAULT_QUALITY)
    samples = [np.arange(len(data.rows)), *evaluate.samples(len(data.rows), RESAMPLES)]
    rows = [measures(served.take(some), threshold) for some in samples]
    return np.array([[row["apgr"], row["kept"]] for row in rows])


def _interval(column: Floats) -> Interval:
    low, high = np.nanquantile(column[1:], [0.025, 0.975])
    return Interval(float(column[0]), float(low), float(high))


def _shown(change: Interval) -> str:
    return f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"


def put_in_place(candidate: bytes, file: Path, former: bytes) -> None:
    """`candidate` becomes `file`, and what was there, `former`, FILE.previous; at no time is there half a file."""
    _replace(previous(file), former)
    _replace(file, candidate)


def roll_back(file: Path) -> None:
    """FILE.previous becomes FILE, and the other way round, so that this too can be undone. Raises OSError."""
    former, current = previous(file).read_bytes(), file.read_bytes()
    _replace(file, former)
    _replace(previous(file), current)


def previous(file: Path) -> Path:
    return file.with_name(file.name + ".previous")


def _replace(file: Path, content: bytes) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(file)
