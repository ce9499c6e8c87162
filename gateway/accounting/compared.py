"""Figures and comparisons of a prompt's versions as JSON has them, for the admin API and `--json` alike."""

from typing import Any

from gateway.accounting.compare import Comparison, Line
from gateway.accounting.confidence import Interval, Sample
from gateway.accounting.versions import Figures


def figures_json(of: Figures) -> dict[str, Any]:
    """Money in nano-dollars, times in microseconds; means have intervals of 95%."""
    return {
        "version": of.version,
        "is_shadow": of.is_shadow,
        "requests": of.requests,
        "answers": of.answers,
        "hits": of.hits,
        "refused": of.refused,
        "left": of.left,
        "failed": of.failed,
        "input_tokens": of.input_tokens,
        "output_tokens": of.output_tokens,
        "cost_nanousd": of.cost_nanousd,
        "unpriced": of.unpriced,
        "endings": dict(of.endings),
        "up": of.up,
        "down": of.down,
        "neutral": of.neutral,
        "means": {
            "input_tokens": _mean(of.input_sample),
            "output_tokens": _mean(of.output_sample),
            "cost_nanousd": _mean(of.cost_sample),
            "duration_us": _mean(of.duration_sample),
        },
    }


def _mean(sample: Sample) -> dict[str, Any] | None:
    if not sample.count:
        return None
    interval = sample.interval() if sample.count > 1 else None
    return {"count": sample.count, "mean": sample.mean, "interval": _interval(interval)}


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Dollars and seconds; of a change 0.1 is a tenth more, of shares ten percentage points."""
    return {
        "before": {"version": found.before.version, "is_shadow": found.before.is_shadow},
        "after": {"version": found.after.version, "is_shadow": found.after.is_shadow},
        "verdict": found.verdict,
        "lines": [_line(line) for line in found.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "unit": line.unit,
        "verdict": line.verdict,
        "before": line.before,
        "before_interval": _interval(line.before_interval),
        "after": line.after,
        "after_interval": _interval(line.after_interval),
        "change": line.change,
        "change_interval": _interval(line.change_interval),
        "more_before": line.more_before,
        "more_after": line.more_after,
    }


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
