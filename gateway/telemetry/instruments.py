"""Counters and histograms whose whole state is plain data: label values → a list of numbers.

Written here because a labelled increment of prometheus_client costs 1.3 µs behind a lock, ours
0.1; because its multi-process mode writes files that grow with every worker, where plain dicts of
numbers can be sent to another process and added up; and because money has to stay an integer until
it is shown. Two states add up label set by label set and item by item, whatever the instrument.
Exposition is prometheus_client's: a collector hands it metric families.

Children are bounded: beyond `CHILDREN` label sets of one instrument, what is new is counted under
`other` in every label, so that sums stay right whatever ends up in a label.

One event loop writes; a scrape may read from another thread, which is why it copies first.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]
"""Label values, in the order of the instrument's label names."""

CHILDREN = 5_000
"""Label sets of one instrument. A few dozen routes, tiers and models are normal; this many are an accident."""


Example = tuple[str, float, float]
"""Request id, value, Unix time: one request that fell into a bucket."""
_LONGEST_ID = 100
"""OpenMetrics allows an exemplar 128 characters, its label's name included."""


class Instrument(Protocol):
    """What the table of metrics needs of each: its name, its meaning, and its numbers on demand."""

    name: str
    kind: str
    """What Prometheus calls the type: `counter`, `histogram` or `gauge`."""
    meaning: str
    """The HELP line."""
    labels: tuple[str, ...]
    """Label names."""

    def family(self) -> Metric: ...


class Counter:
    """A sum that only grows, held as a list of one integer: in parts, of which `parts` make one unit as shown.

    Money: nano-dollars in `children`, `parts=NANO`, dollars shown: the nearest double, which names
    every nano-dollar up to nine million dollars.
    """

    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...] = (), *, parts: int = 1) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self.parts = parts
        self.children: dict[Labels, list[int]] = {}

    def inc(self, labels: Labels, by: int = 1) -> None:
        """`by` must not be negative: a counter never falls."""
        try:
            self.children[labels][0] += by
        except KeyError:
            self.children.setdefault(_bounded(self.children, labels), [0])[0] += by

    def family(self) -> Metric:
        family = CounterMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, (value,) in list(self.children.items()):
            family.add_metric(labels, value / self.parts)
        return family


class Histogram:
    """How often values fell into each bucket, and their sum.

    A child is one list: the count of each bucket on its own (not of all below it), the count above
    the last bound, and the sum. Lists of equal bounds add up item by item.
    """

    kind = "histogram"

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...], *, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self.bounds = bounds
        """Upper bounds, inclusive, ascending, without infinity."""
        self.children: dict[Labels, list[float]] = {}
        self.examples: dict[Labels, dict[int, Example]] = {}
        """Of each bucket the last request that was noted, shown where the scraper takes exemplars (OpenMetrics)."""

    def note(self, labels: Labels, value: float, request_id: str, at: float) -> None:
        """Keep the request whose `value` was just observed as an example of its bucket."""
        if labels in self.children and len(request_id) <= _LONGEST_ID:
            try:
                examples = self.examples[labels]
            except KeyError:
                examples = self.examples[labels] = {}
            examples[bisect_left(self.bounds, value)] = (request_id, value, at)

    def observe(self, labels: Labels, value: float) -> None:
        try:
            child = self.children[labels]
        except KeyError:
            child = self.children.setdefault(_bounded(self.children, labels), [0] * (len(self.bounds) + 2))
        child[bisect_left(self.bounds, value)] += 1
        child[-1] += value

    def family(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        for labels, child in list(self.children.items()):
            *counts, total = child.copy()
            examples = self.examples.get(labels, {}).copy()
            buckets = [
                (name, count, _exemplar(examples[at])) if at in examples else (name, count)
                for at, (name, count) in enumerate(zip(names, accumulate(counts), strict=True))
            ]
            family.add_metric(labels, buckets, total)
        return family


def _exemplar(example: Example) -> Exemplar:
    request_id, value, at = example
    return Exemplar({"request_id": request_id}, value, at)


Read = Callable[[], Mapping[Labels, float]]
"""Label values → what stands there now; called at every scrape, possibly outside the event loop's thread."""


class Reading:
    """Something counted or held elsewhere, asked for at scrape time. Exposes nothing until it has a `read`."""

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...] = (), *, kind: str = "gauge") -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self.kind = kind
        self.read: Read | None = None

    def follow(self, read: Read) -> None:
        """From now on tell what `read` tells; a counter goes on from where it is."""
        before = self.read() if self.read is not None and self.kind == "counter" else {}
        self.read = (lambda: _sum(before, read())) if before else read

    def family(self) -> Metric:
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.name, self.meaning, labels=self.labels)
        for labels, value in (self.read() if self.read else {}).items():
            family.add_metric(labels, value)
        return family


def _sum(one: Mapping[Labels, float], other: Mapping[Labels, float]) -> Mapping[Labels, float]:
    return {labels: one.get(labels, 0) + other.get(labels, 0) for labels in {**one, **other}}


def _bounded(children: Mapping[Labels, object], labels: Labels) -> Labels:
    return labels if len(children) < CHILDREN else ("other",) * len(labels)


class _Collector:
    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._instruments = tuple(instruments)

    def collect(self) -> Iterator[Metric]:
        return (instrument.family() for instrument in self._instruments)


class Exposition:
    """The instruments as a scrape sees them."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(instruments))

    def render(self, accept: str) -> tuple[bytes, str]:
        """Body and content type, in the format that the scraper's Accept header asks for: OpenMetrics or plain text."""
        try:
            encode, content_type = choose_encoder(accept)
            return encode(self._registry), content_type
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
            return encode(self._registry), content_type
