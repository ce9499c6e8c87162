"""The gateway's own metrics → the table that the demo ends with. Reads what Prometheus would scrape."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from prometheus_client.parser import text_string_to_metric_families


@dataclass(slots=True)
class Figures:
    """What happened on one route; money in dollars."""

    requests: int = 0
    refused: int = 0
    cheap: int = 0
    expensive: int = 0
    hits: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    spent: float = 0.0
    saved_by_cache: float = 0.0
    saved_by_sharing: float = 0.0
    saved_by_tier: float = 0.0

    @property
    def saved(self) -> float:
        return self.saved_by_cache + self.saved_by_sharing + self.saved_by_tier


_READ: Mapping[tuple[str, str | None, str | None], str] = {
    ("gateway_requests_total", None, None): "requests",
    ("gateway_requests_total", "tier", "cheap"): "cheap",
    ("gateway_requests_total", "tier", "expensive"): "expensive",
    ("gateway_rejected_total", None, None): "refused",
    ("gateway_cache_requests_total", "result", "hit"): "hits",
    ("gateway_tokens_total", "type", "input"): "input_tokens",
    ("gateway_tokens_total", "type", "cached_input"): "input_tokens",
    ("gateway_tokens_total", "type", "output"): "output_tokens",
    ("gateway_cost_usd_total", None, None): "spent",
    ("gateway_saved_usd_total", "reason", "cache"): "saved_by_cache",
    ("gateway_saved_usd_total", "reason", "coalesced"): "saved_by_sharing",
    ("gateway_saved_usd_total", "reason", "tier"): "saved_by_tier",
}
"""Sample name, label and its value (None: whatever it is) → the figure it adds to."""


def read(exposition: str) -> dict[str, Figures]:
    """Figures by route, from the text format of /metrics."""
    found: dict[str, Figures] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            for (name, label, value), figure in _READ.items():
                if sample.name == name and (label is None or sample.labels.get(label) == value):
                    figures = found.setdefault(sample.labels["route"], Figures())
                    setattr(figures, figure, getattr(figures, figure) + type(getattr(figures, figure))(sample.value))
    return found


def total(rows: Iterable[Figures]) -> Figures:
    rows = list(rows)
    return Figures(*(sum(getattr(row, field.name) for row in rows) for field in fields(Figures)))


_ROWS: tuple[tuple[str, Callable[[Figures], float], str], ...] = (
    ("requests", lambda figures: figures.requests, ",.0f"),
    ("  refused", lambda figures: figures.refused, ",.0f"),
    ("  to the cheap tier", lambda figures: figures.cheap, ",.0f"),
    ("  to the expensive tier", lambda figures: figures.expensive, ",.0f"),
    ("  cache hits among them", lambda figures: figures.hits, ",.0f"),
    ("tokens in", lambda figures: figures.input_tokens, ",.0f"),
    ("tokens out", lambda figures: figures.output_tokens, ",.0f"),
    ("dollars spent", lambda figures: figures.spent, ".6f"),
    ("dollars saved", lambda figures: figures.saved, ".6f"),
    ("  by the cache", lambda figures: figures.saved_by_cache, ".6f"),
    ("  by sharing calls", lambda figures: figures.saved_by_sharing, ".6f"),
    ("  by the cheap tier", lambda figures: figures.saved_by_tier, ".6f"),
)


_SELDOM = ("  by sharing calls",)
"""Left out where there is nothing of it."""


def table(by_route: Mapping[str, Figures], order: Sequence[str]) -> str:
    """A column for each route in `order`, for any others, and for their sum; a dash is nothing."""
    names = [*(name for name in order if name in by_route), *sorted(by_route.keys() - set(order))]
    columns = {name: by_route[name] for name in names} | {"all": total(by_route.values())}
    told = [row for row in _ROWS if row[0] not in _SELDOM or row[1](columns["all"])]
    cells = [[label, *(_cell(read(column), form) for column in columns.values())] for label, read, form in told]
    rows = [["route", *columns], *cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = (_line(row, widths) for row in rows)
    return "\n".join([head, "-" * len(head), *body])


def _cell(value: float, form: str) -> str:
    return format(value, form) if value else "-"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    label, *cells = row
    return "   ".join([label.ljust(widths[0]), *(c.rjust(width) for c, width in zip(cells, widths[1:], strict=True))])


def saved_share(row: Figures) -> float:
    """What part of the bill without the gateway was saved, 0 to 1; 0 when there was none."""
    return row.saved / (row.spent + row.saved) if row.saved else 0.0
