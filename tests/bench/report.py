"""Samples of a run → rows, goals, and the same table for a terminal and for Markdown. Pure.

Every ratio is taken within one round, where target and yardstick met the same neighbours, and the
median over rounds is shown with the lowest and the highest. A row with errors is no result.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.workloads import GOALS, MOST_MEMORY_MB, MOST_READY_S, Goal, Workload

DIRECT = "direct"
"""The load straight on the upstream, without a target."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One target under one workload in one round."""

    workload: str
    target: str
    round: int
    good: int
    errors: dict[str, int]
    rate: float
    """Good answers a second."""
    cpu_us: float
    """On-CPU time of the target's process tree per good answer; 0 for DIRECT."""
    p50_us: float
    p99_us: float
    memory_mb: float
    upstream_asked: int
    """Requests that arrived at the upstream meanwhile."""
    others_share: float
    """Of the target's core: work of processes that have nothing to do with this, and what the hypervisor took."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What it took a target until it answered."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Range:
    """The median over rounds, between the lowest and the highest."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Range | None":
        """None where there is no value."""
        found = sorted(values)
        return cls(found[0], statistics.median(found), found[-1]) if found else None

    def show(self, digits: int) -> str:
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


@dataclass(frozen=True, slots=True)
class Row:
    """One target under one workload, over all rounds."""

    target: str
    cpu_us: Range
    times: Range | None
    """CPU, as a multiple of the yardstick's in the same round."""
    added_p50_us: Range | None
    """Over going straight to the upstream; None but for the workload of one connection."""
    added_times: Range | None
    """The same as a multiple of what the yardstick adds."""
    rate: float
    rate_times: Range | None
    """As a multiple of the yardstick's in the same round."""
    p50_us: float
    p99_us: float
    memory_mb: float
    errors: dict[str, int]

    @property
    def is_valid(self) -> bool:
        return not self.errors


def rows(samples: Sequence[Sample], workload: Workload) -> list[Row]:
    """The rows of one workload, the cheapest first; DIRECT is not among them."""
    ours = [sample for sample in samples if sample.workload == workload.name]
    of_target = {name: _by_round(ours, name) for name in dict.fromkeys(sample.target for sample in ours)}
    direct = of_target.pop(DIRECT, {})
    yardstick = of_target.get(workload.yardstick, {})
    found = [_row(name, mine, yardstick, direct) for name, mine in of_target.items()]
    return sorted(found, key=lambda row: row.cpu_us.median)


def _by_round(samples: Sequence[Sample], target: str) -> dict[int, Sample]:
    return {sample.round: sample for sample in samples if sample.target == target}


def _row(name: str, mine: dict[int, Sample], yardstick: dict[int, Sample], direct: dict[int, Sample]) -> Row:
    added = _added(mine, direct)
    added_by_yardstick = _added(yardstick, direct)
    errors: dict[str, int] = {}
    for sample in mine.values():
        for kind, n in sample.errors.items():
            errors[kind] = errors.get(kind, 0) + n
    cpu_us = Range.of(sample.cpu_us for sample in mine.values())
    assert cpu_us is not None, "a row has at least one sample"
    return Row(
        target=name,
        cpu_us=cpu_us,
        times=Range.of(mine[n].cpu_us / yardstick[n].cpu_us for n in mine.keys() & yardstick.keys()),
        added_p50_us=Range.of(added.values()),
        added_times=Range.of(added[n] / added_by_yardstick[n] for n in added.keys() & added_by_yardstick.keys()),
        rate=_median(mine, lambda sample: sample.rate),
        rate_times=Range.of(mine[n].rate / yardstick[n].rate for n in mine.keys() & yardstick.keys()),
        p50_us=_median(mine, lambda sample: sample.p50_us),
        p99_us=_median(mine, lambda sample: sample.p99_us),
        memory_mb=_median(mine, lambda sample: sample.memory_mb),
        errors=errors,
    )


def _added(mine: dict[int, Sample], direct: dict[int, Sample]) -> dict[int, float]:
    return {n: mine[n].p50_us - direct[n].p50_us for n in mine.keys() & direct.keys()}


def _median(mine: dict[int, Sample], value: Callable[[Sample], float]) -> float:
    return statistics.median(value(sample) for sample in mine.values())


def noise(samples: Sequence[Sample]) -> str:
    """One sentence on how much the neighbours took of the target's core."""
    shares = Range.of(sample.others_share for sample in samples if sample.target != DIRECT)
    if shares is None:
        return "Nothing was measured."
    return (
        f"Others took {shares.median:.0%} of the target's core in the median sample and {shares.high:.0%} in the worst."
    )


# ------------------------------------------------------------------ tables

Table = list[list[str]]
"""Lines of cells, the first of them the heading."""


def workload_table(found: Sequence[Row], workload: Workload) -> Table:
    unit = "stream" if workload.is_stream else "request"
    wait = "first byte" if workload.is_stream else "latency"
    heading = ["target", f"{unit}s/s", f"CPU us/{unit}", f"x {workload.yardstick}"]
    heading += [f"{wait} p50 us", "p99 us", "memory MB", "errors"]
    lines = [[_name(row), *_figures(row)] for row in found]
    if workload.is_idle:
        heading += ["added p50 us", "x"]
        lines = [[*line, *_added_figures(row)] for line, row in zip(lines, found, strict=True)]
    return [heading, *lines]


def _name(row: Row) -> str:
    return row.target if row.is_valid else f"{row.target} (not valid)"


def _figures(row: Row) -> list[str]:
    times = row.times.show(2) if row.times else "-"
    errors = ", ".join(f"{n} x {kind}" for kind, n in row.errors.items()) or "0"
    waits = [f"{row.p50_us:,.0f}", f"{row.p99_us:,.0f}"]
    return [f"{row.rate:,.0f}", row.cpu_us.show(1), times, *waits, f"{row.memory_mb:.0f}", errors]


def _added_figures(row: Row) -> list[str]:
    added_us, times = row.added_p50_us, row.added_times
    return [added_us.show(0) if added_us else "-", times.show(1) if times else "-"]


def goal_table(found: dict[str, list[Row]], starts: Sequence[Ready]) -> Table:
    """What is to be reached beside what was; `found` by workload, `starts` those of the gateway."""
    table = [["goal", "at most", "measured", "result"]]
    for goal in GOALS:
        most = "-" if goal.most is None else f"{goal.most:g}x"
        table.append([goal.says, most, *_verdict(_reached(found, goal), goal.most, 2)])
    memory = [row.memory_mb for row in found.get("miss", ()) if row.target == "gateway"]
    table.append(["memory of a worker, MB", f"{MOST_MEMORY_MB:g}", *_verdict(Range.of(memory), MOST_MEMORY_MB, 0)])
    for says, values in (("s", [start.wall_s for start in starts]), ("CPU s", [start.cpu_s for start in starts])):
        table.append([f"start to ready, {says}", f"{MOST_READY_S:g}", *_verdict(Range.of(values), MOST_READY_S, 2)])
    return table


def _reached(found: dict[str, list[Row]], goal: Goal) -> Range | None:
    for row in found.get(goal.workload, ()):
        if row.target == goal.target and row.is_valid:
            reached: Range | None = getattr(row, goal.figure)
            return reached
    return None


def _verdict(reached: Range | None, most: float | None, digits: int) -> list[str]:
    if reached is None:
        return ["-", "not measured"]
    if most is None:
        return [reached.show(digits), "as measured"]
    return [reached.show(digits), "reached" if reached.median <= most else "missed"]


def plain(table: Table) -> str:
    """In columns for a terminal; the first to the left, the others to the right."""
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    )


def markdown(table: Table) -> str:
    heading, *lines = table
    ruler = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heading, ruler, *lines))
