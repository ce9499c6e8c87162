"""The measures of `evaluate.py` as one table: pooled and by source, beside choosing at random and an oracle."""

import numpy as np

from gateway.routing.offline import evaluate
from gateway.routing.offline.dataset import Dataset, Floats

Table = dict[str, dict[str, float]]


def measure(p: Floats, data: Dataset, *, threshold: float) -> Table:
    """One row of measures for `pooled` and for each source; `kept` and `cheap` are at `threshold`."""
    weak, strong, sources = data.weak, data.strong, data.sources
    table = {"pooled": _row(p, weak, strong, threshold)}
    for source in np.unique(sources):
        at = sources == source
        table[str(source)] = _row(p[at], weak[at], strong[at], threshold)
    return table


def _row(p: Floats, weak: Floats, strong: Floats, threshold: float) -> dict[str, float]:
    points = evaluate.curve(p, weak, strong)
    oracle = evaluate.curve(strong - weak, weak, strong)
    random = evaluate.curve(np.zeros_like(p), weak, strong)
    expected = evaluate.target(weak, strong)
    reached = np.where(p >= threshold, strong, weak).mean()
    return {
        "prompts": float(len(p)),
        "apgr": evaluate.apgr(points),
        "apgr_oracle": evaluate.apgr(oracle),
        "auc": evaluate.auc(p, (strong > weak).astype(float)),
        "brier": evaluate.brier(p, expected),
        "ece": evaluate.ece(p, expected),
        "cpt50": evaluate.cpt(points, 0.5),
        "cpt80": evaluate.cpt(points, 0.8),
        "saved": evaluate.saved(points),
        "saved_random": evaluate.saved(random),
        "kept": float(reached / strong.mean()) if strong.any() else float("nan"),
        "cheap": float(np.mean(p < threshold)),
    }


LEGEND = """\
apgr: area under the recovered quality gap (random 0.5)   cpt50/80: share of expensive calls that recovers 50/80% of it
saved: share sent cheap while keeping 95% of the expensive model's score, beside random
kept, cheap: quality kept and share sent cheap at the model's own threshold"""


def as_text(table: Table) -> str:
    columns = list(next(iter(table.values())))
    width = max(map(len, table))
    lines = [" ".join([" " * width, *(f"{column:>12}" for column in columns)])]
    for name, row in table.items():
        cells = (f"{value:>12,.0f}" if column == "prompts" else f"{value:>12.4f}" for column, value in row.items())
        lines.append(" ".join([f"{name:<{width}}", *cells]))
    return "\n".join([*lines, "", LEGEND])
