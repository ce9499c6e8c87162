"""Kinds of task, and what may come of sending one of their prompts up: what the gate and its regressions are fitted on.

A kind is a source of the data. A large one is cut in a few by the outcomes of its subsets: moral dilemmas and high
school history are one benchmark, but not one thing to a router.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from gateway.routing.offline.dataset import Dataset, Floats

ROWS_A_KIND = 3000
"""A source is cut in as many kinds as it has this many rows."""
PRIOR_ROWS = 60
"""A subset counts as if it had this many rows more, with the outcomes of its whole source."""

FOUR = ("better", "worse", "both", "neither")
TWO = ("better", "worse")

Labels = NDArray[np.str_]


def outcomes(weak: Floats, strong: Floats) -> Floats:
    """One row a prompt, one column for each of `FOUR`: how much of each outcome it was. Graded outcomes are all or
    nothing; a judge's half points are shared out."""
    gap = np.abs(strong - weak)
    columns = [np.clip(strong - weak, 0, 1), np.clip(weak - strong, 0, 1), (1 - gap) * weak, (1 - gap) * (1 - weak)]
    return np.stack(columns, axis=1)


def versus(weak: Floats, strong: Floats) -> Floats:
    """One row a prompt, one column for each of `TWO`: ties count as half of either."""
    better = (1 + strong - weak) / 2
    return np.stack([better, 1 - better], axis=1)


def pieces(data: Dataset, *, rows_a_kind: int = ROWS_A_KIND) -> dict[str, int]:
    """Source → the number of kinds it is cut in.

    A fold has fewer rows, and would be cut in fewer: it is told the number for all rows, or cross-validation would
    judge another model than the one that is made.
    """
    return {source: max(1, rows // rows_a_kind) for source, rows in data.counts().items()}


def assign(data: Dataset, pieces: Mapping[str, int]) -> Labels:
    """The kind of each row: its source's name, with a number where that is cut in several."""
    sources, subsets = data.sources, data.subsets
    what = outcomes(data.weak, data.strong)
    labels = sources.astype(object)
    for source in np.unique(sources):
        mine = np.flatnonzero(sources == source)
        wanted = min(pieces[source], len(np.unique(subsets[mine])))
        if wanted > 1:
            piece_of = _pieces(subsets[mine], what[mine], wanted)
            labels[mine] = [f"{source}:{piece_of[subset]}" for subset in subsets[mine]]
    return labels.astype(np.str_)


def _pieces(subsets: Labels, what: Floats, pieces: int) -> dict[str, int]:
    """Subset → piece, by k-means over how often each outcome occurs; square roots make differences comparable."""
    names, at, counts = np.unique(subsets, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(at, column, len(names)) for column in what.T], axis=1)
    rates = (sums + PRIOR_ROWS * what.mean(axis=0)) / (counts + PRIOR_ROWS)[:, None]
    found = KMeans(pieces, n_init=20, random_state=0).fit(np.sqrt(rates), sample_weight=counts)
    order = np.argsort(np.argsort(-found.cluster_centers_[:, 0]))
    return {str(name): int(order[label]) + 1 for name, label in zip(names, found.labels_, strict=True)}
