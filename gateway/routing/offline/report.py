"""The measures of `evaluate.py` as one table: pooled, sources weighted equally, and by source, each with its interval.

Beside them stand choosing at random and an oracle that knows the outcomes, without which no figure means anything.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.routing.model import Classifier
from gateway.routing.offline import evaluate
from gateway.routing.offline.dataset import Dataset, Floats

POOLED, EQUAL = "pooled", "sources equal"
NAN = float("nan")


@dataclass(frozen=True)
class Scored:
    """Prompts with their outcomes and what one classifier says of them; arrays have one value a prompt."""

    p: Floats
    is_familiar: NDArray[np.bool_]
    weak: Floats
    strong: Floats
    weight: Floats

    @classmethod
    def of(cls, classifier: Classifier, data: Dataset) -> "Scored":
        verdicts = [
            classifier.judge(row.text) if row.features is None else classifier.weigh(row.features) for row in data.rows
        ]
        return cls(
            p=np.array([verdict.probability for verdict in verdicts]),
            is_familiar=np.array([verdict.is_familiar for verdict in verdicts]),
            weak=data.weak,
            strong=data.strong,
            weight=np.ones(len(verdicts)),
        )

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Scored":
        return Scored(
            self.p[chosen], self.is_familiar[chosen], self.weak[chosen], self.strong[chosen], self.weight[chosen]
        )

    def served(self) -> "Scored":
        """As `decide` has it: the unfamiliar are certain to go up."""
        return replace(self, p=np.where(self.is_familiar, self.p, 1.0))

    def curve(self) -> evaluate.Curve:
        return evaluate.curve(self.p, self.weak, self.strong, self.weight)

    def is_cheap(self, threshold: float) -> NDArray[np.bool_]:
        """As `decide` has it: the unfamiliar go up, whatever their probability."""
        return self.is_familiar & (self.p < threshold)


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    low: float
    high: float
    """95%, over prompts drawn with replacement."""


Table = dict[str, dict[str, Interval]]
Progress = Callable[[str], None]


def measures(scored: Scored, threshold: float) -> dict[str, float]:
    """Every figure of a row. `kept` and `cheap` are as served at `threshold`, the others need none."""
    points = scored.curve()
    weight, weak, strong = scored.weight, scored.weak, scored.strong
    is_cheap = scored.is_cheap(threshold)
    full = np.average(strong, weights=weight)
    cheap = float(np.average(is_cheap, weights=weight))
    low = np.average(weak, weights=weight)
    is_even = bool((weight == weight[0]).all())
    expected = evaluate.target(weak, strong)
    return {
        "apgr": evaluate.apgr(points),
        "auc": evaluate.auc(scored.p, (strong > weak).astype(float), weight),
        "cpt50": evaluate.cpt(points, 0.5),
        "cpt80": evaluate.cpt(points, 0.8),
        "saved": evaluate.saved(points),
        "saved_random": evaluate.saved(evaluate.curve(np.zeros_like(weak), weak, strong, weight)),
        "saved_oracle": evaluate.saved(evaluate.curve(strong - weak, weak, strong, weight)),
        "brier": evaluate.brier(scored.p, expected) if is_even else NAN,
        "ece": evaluate.ece(scored.p, expected) if is_even else NAN,
        "kept": float(np.average(np.where(is_cheap, weak, strong), weights=weight) / full) if full else NAN,
        "kept_random": float((cheap * low + (1 - cheap) * full) / full) if full else NAN,
        "cheap": cheap,
        "unfamiliar": float(1 - np.average(scored.is_familiar, weights=weight)),
    }


def rows(scored: Scored, sources: NDArray[np.str_]) -> Iterator[tuple[str, Scored]]:
    """The prompts of each row of the table."""
    names, at, counts = np.unique(sources, return_inverse=True, return_counts=True)
    yield POOLED, scored
    if len(names) > 1:
        even = Scored(scored.p, scored.is_familiar, scored.weak, scored.strong, (len(at) / counts / len(names))[at])
        yield EQUAL, even
        for place, name in enumerate(names):
            yield str(name), scored.take(at == place)


def measure(
    scored: Scored, sources: NDArray[np.str_], *, threshold: float, resamples: int, progress: Progress
) -> Table:
    table: Table = {}
    for name, some in rows(scored, sources):
        values = measures(some, threshold)
        drawn = [
            list(measures(some.take(sample), threshold).values()) for sample in evaluate.samples(len(some.p), resamples)
        ]
        table[name] = dict(zip(values, _intervals(list(values.values()), np.array(drawn)), strict=True))
        progress(name)
    return table


def _intervals(values: list[float], drawn: Floats) -> list[Interval]:
    """Draws without a figure (no prompt that needs the expensive model, say) are left out."""
    intervals = []
    for value, column in zip(values, drawn.T, strict=True):
        known = column[~np.isnan(column)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (NAN, NAN)
        intervals.append(Interval(value, float(low), float(high)))
    return intervals


HEADINGS = {
    "apgr": "APGR",
    "auc": "AUC",
    "cpt50": "CPT(50)",
    "cpt80": "CPT(80)",
    "saved": "saved",
    "saved_random": "random",
    "saved_oracle": "oracle",
    "brier": "Brier",
    "ece": "ECE",
    "kept": "kept",
    "kept_random": "random",
    "cheap": "cheap",
    "unfamiliar": "unfamiliar",
}
LEGEND = """\
APGR: area under the recovered part of the quality gap (random 0.5); CPT: share of expensive calls to recover 50, 80%.
saved: share sent cheap at 95% of the expensive model's mean score, beside random choice and an oracle.
ECE: calibration error; kept, cheap: quality kept and share sent cheap at the model's own threshold for 95%, the
unfamiliar going up; random keeps as much as stands beside kept at the same share. Ranges are 95% intervals."""
WITH_INTERVAL = ("apgr", "auc", "saved", "ece", "kept")


def as_text(table: Table, counts: dict[str, int]) -> str:
    width = max(map(len, table))
    columns = {name: max(len(_cell(name, row[name])) for row in table.values()) for name in HEADINGS}
    columns = {name: max(wide, len(HEADINGS[name])) for name, wide in columns.items()}
    lines = ["  ".join([" " * width, "prompts", *(f"{HEADINGS[name]:>{wide}}" for name, wide in columns.items())])]
    for title, row in table.items():
        cells = (f"{_cell(name, row[name]):>{wide}}" for name, wide in columns.items())
        lines.append("  ".join([f"{title:<{width}}", f"{counts.get(title, sum(counts.values())):>7,}", *cells]))
    return "\n".join([*lines, "", LEGEND])


def _cell(name: str, interval: Interval) -> str:
    if np.isnan(interval.value):
        return "-"
    text = f"{interval.value:.3f}"
    return f"{text} {interval.low:.3f}-{interval.high:.3f}" if name in WITH_INTERVAL else text
