"""Models beside one another: several on the same prompts, and one on prompts of a kind it has never seen.

The second is the honest question to a router that meets your traffic: it was not fitted on it either. What saves it
there is not skill but abstention, so the table says both how much quality is kept and how little is sent cheap.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway.routing.decide import DEFAULT_QUALITY
from gateway.routing.model import Classifier
from gateway.routing.offline import evaluate
from gateway.routing.offline.dataset import Dataset, Floats
from gateway.routing.offline.report import Interval, Progress, Scored, measures
from gateway.routing.offline.train import train


@dataclass(frozen=True, slots=True)
class Stranger:
    """A model that was fitted without one source, on the prompts of that source, at its own frozen threshold."""

    prompts: int
    kept: Interval
    kept_random: float
    """By sending the same share cheap at random."""
    cheap: float
    unfamiliar: float


def without_each_source(known: Dataset, test: Dataset, *, resamples: int, progress: Progress) -> dict[str, Stranger]:
    """Fit on `known` without each source that `test` has, and measure on that source's test prompts."""
    strangers = {}
    for source in np.unique(known.sources):
        unseen = np.flatnonzero(test.sources == source)
        if len(unseen):
            document = train(
                known.take(np.flatnonzero(known.sources != source)), command="", progress=lambda done: None
            )
            classifier = Classifier(document)
            scored = Scored.of(classifier, test.take(unseen))
            strangers[str(source)] = _stranger(scored, classifier.threshold(DEFAULT_QUALITY), resamples)
        progress(f"without {source}")
    return strangers


def _stranger(scored: Scored, threshold: float, resamples: int) -> Stranger:
    row = measures(scored, threshold)
    draws = evaluate.samples(len(scored.p), resamples)
    kept = [measures(scored.take(some), threshold)["kept"] for some in draws]
    low, high = np.quantile(kept, [0.025, 0.975])
    return Stranger(
        prompts=len(scored.p),
        kept=Interval(row["kept"], float(low), float(high)),
        kept_random=row["kept_random"],
        cheap=row["cheap"],
        unfamiliar=row["unfamiliar"],
    )


def as_text(strangers: Mapping[str, Stranger]) -> str:
    width = max(map(len, strangers))
    lines = [f"{'fitted without':<{width}}  prompts   kept at the frozen threshold   random   cheap   unfamiliar"]
    for source, row in strangers.items():
        kept = f"{row.kept.value:.3f} {row.kept.low:.3f}-{row.kept.high:.3f}"
        lines.append(
            f"{source:<{width}}  {row.prompts:>7,}   {kept:>28}   {row.kept_random:>6.3f}   {row.cheap:>5.3f}"
            f"   {row.unfamiliar:>10.3f}"
        )
    return "\n".join(lines)


COMPARED = ("apgr", "auc", "cpt50", "cpt80", "saved", "brier", "ece", "kept", "cheap")

Column = dict[str, dict[str, Interval | None]]
"""Measure → `value` with its interval, and `against_first`: the difference with its own, None in the first column."""


def side_by_side(
    classifiers: Mapping[str, Classifier], data: Dataset, *, resamples: int, progress: Progress
) -> dict[str, Column]:
    """Each classifier's measures on `data`; differences are taken draw by draw, so they are surer than they look."""
    columns: dict[str, Column] = {}
    first: tuple[Floats, Floats] | None = None
    for name, classifier in classifiers.items():
        scored, threshold = Scored.of(classifier, data), classifier.threshold(DEFAULT_QUALITY)
        value = _figures(scored, threshold)
        drawn = np.array([_figures(scored.take(s), threshold) for s in evaluate.samples(len(scored.p), resamples)])
        away = None if first is None else (value - first[0], drawn - first[1])
        columns[name] = {
            measure: {
                "value": _interval(value[place], drawn[:, place]),
                "against_first": None if away is None else _interval(away[0][place], away[1][:, place]),
            }
            for place, measure in enumerate(COMPARED)
        }
        first = first or (value, drawn)
        progress(name)
    return columns


def _figures(scored: Scored, threshold: float) -> Floats:
    row = measures(scored, threshold)
    return np.array([row[name] for name in COMPARED])


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))


def compared_as_text(columns: Mapping[str, Column]) -> str:
    lines = ["  ".join([f"{'':<8}", *(f"{name:>40}" for name in columns)])]
    for measure in COMPARED:
        cells = (_compared_cell(column[measure]) for column in columns.values())
        lines.append("  ".join([f"{measure:<8}", *(f"{cell:>40}" for cell in cells)]))
    return "\n".join([*lines, "", "In brackets: the difference from the first column, with its 95% interval."])


def _compared_cell(cell: dict[str, Interval | None]) -> str:
    value, away = cell["value"], cell["against_first"]
    assert value is not None, "only differences may be missing"
    difference = "" if away is None else f"  ({away.value:+.3f} {away.low:+.3f} to {away.high:+.3f})"
    return f"{value.value:.3f}{difference}"
