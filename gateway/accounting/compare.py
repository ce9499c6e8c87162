"""Two versions of a prompt side by side: which differences are there, which may be chance, and where it is too early.

A difference is called one where an interval of 99% leaves 0 out. There are some eight figures, so two equal versions
show a difference in one comparison of twelve; at 95% it would be in one of three. Pure.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from gateway.accounting.confidence import Interval, Sample, Share, change_of_mean, share_difference
from gateway.accounting.versions import Figures
from gateway.value import value
from gateway.values import NANO
from gateway.wire.endings import Ending

ENOUGH = 100
"""Answers of each version. Below it a mean's interval is not to be trusted: costs and durations have long tails."""
ENOUGH_OPINIONS = 50
ENDINGS: tuple[tuple[Ending, str], ...] = (
    ("length", "cut at the length limit"),
    ("tool_calls", "called a tool"),
    ("content_filter", "stopped by a content filter"),
)

Verdict = Literal["more", "less", "same", "early", "none"]
"""`same`: no difference is seen. `early`: too few to say. `none`: neither version had any of it."""
Unit = Literal["tokens", "usd", "seconds", "share"]


@value
class Line:
    """One figure of both versions. Its change is relative (0.1: a tenth more), of a share in absolute terms."""

    name: str
    unit: Unit
    before: float | None
    before_interval: Interval | None
    """Of 95%, like the next one's."""
    after: float | None
    after_interval: Interval | None
    change: float | None
    change_interval: Interval | None
    """Of 99%; None where it is too early, or there is nothing to compare with."""
    verdict: Verdict
    more_before: int
    """Answers, or opinions, that are still needed of the first version;"""
    more_after: int
    """and of the second."""


@value
class Comparison:
    prompt: str
    before: Figures
    after: Figures
    lines: tuple[Line, ...]

    @property
    def verdict(self) -> str:
        """All of it in a sentence or three."""
        return " ".join(_sentences(self.before.version, self.after.version, self.lines))


def best_of(found: Sequence[Figures], version: int) -> Figures:
    """What is known of `version`: what clients were served, or its shadow calls where those are more; nothing at all is
    figures of zero."""
    mine = [each for each in found if each.version == version]
    return max(mine, key=lambda each: (each.answers, not each.is_shadow), default=Figures(version, False))


def compare(prompt: str, before: Figures, after: Figures) -> Comparison:
    means: tuple[tuple[str, Unit, float, Callable[[Figures], Sample]], ...] = (
        ("tokens in", "tokens", 1, lambda of: of.input_sample),
        ("tokens out", "tokens", 1, lambda of: of.output_sample),
        ("cost", "usd", NANO, lambda of: of.cost_sample),
        ("time", "seconds", 1e6, lambda of: of.duration_sample),
    )
    lines = [_mean(name, unit, scale, sample(before), sample(after)) for name, unit, scale, sample in means]
    lines.append(_share("failed", before.failures, after.failures, ENOUGH))
    lines += [_share(name, before.ended(ending), after.ended(ending), ENOUGH) for ending, name in ENDINGS]
    lines.append(_share("thumbs down", before.dislikes, after.dislikes, ENOUGH_OPINIONS))
    return Comparison(prompt, before, after, tuple(lines))


def _mean(name: str, unit: Unit, scale: float, before: Sample, after: Sample) -> Line:
    """A figure of each answer, shown in units of `scale` of what is kept."""
    more_before, more_after = max(0, ENOUGH - before.count), max(0, ENOUGH - after.count)
    change: float | None = None
    interval: Interval | None = None
    verdict: Verdict = "early"
    if not (more_before or more_after):
        if before.total > 0 and after.total > 0:
            change, interval = after.mean / before.mean - 1, change_of_mean(before, after)
            verdict = _verdict(interval)
        else:
            verdict = "none" if before.total == after.total else "more" if after.total > 0 else "less"
    return Line(
        *(name, unit, *_shown_mean(before, scale), *_shown_mean(after, scale)),
        *(change, interval, verdict, more_before, more_after),
    )


def _shown_mean(sample: Sample, scale: float) -> tuple[float | None, Interval | None]:
    if not sample.count:
        return None, None
    low, high = sample.interval()
    return sample.mean / scale, None if sample.count < 2 else Interval(low / scale, high / scale)


def _share(name: str, before: Share, after: Share, enough: int) -> Line:
    more_before, more_after = max(0, enough - before.all_), max(0, enough - after.all_)
    change: float | None = None
    interval: Interval | None = None
    verdict: Verdict = "early"
    if not (more_before or more_after):
        change, interval = after.ratio - before.ratio, share_difference(before, after)
        verdict = _verdict(interval) if before.some or after.some else "none"
    return Line(
        *(name, "share", *_shown_share(before), *_shown_share(after)),
        *(change, interval, verdict, more_before, more_after),
    )


def _shown_share(share: Share) -> tuple[float | None, Interval | None]:
    return (share.ratio, share.interval()) if share.all_ else (None, None)


def _verdict(interval: Interval) -> Verdict:
    return "more" if interval.low > 0 else "less" if interval.high < 0 else "same"


# ------------------------------------------------------------------ in words


def _sentences(before: int, after: int, lines: Sequence[Line]) -> list[str]:
    differences = [line for line in lines if line.verdict in ("more", "less")]
    same = [line.name for line in lines if line.verdict == "same"]
    early = [line for line in lines if line.verdict == "early"]
    said = []
    if differences:
        said.append(f"{after} against {before}: {'; '.join(map(difference, differences))}.")
    if same:
        said.append(f"No difference seen in {', '.join(same)}.")
    if early:
        names = ", ".join(line.name for line in early)
        said.append(f"Not enough yet for {names}: {_needed(before, after, early)}.")
    return said or ["Nothing to compare."]


def difference(line: Line) -> str:
    """`cost 12% more (8% to 16%)`; of shares in percentage points."""
    if line.change is None or line.change_interval is None:
        return f"{line.name} {line.verdict}"
    low, high = sorted(map(abs, line.change_interval))
    size, unit = 100 * abs(line.change), "points" if line.unit == "share" else "%"
    return f"{line.name} {size:.1f} {unit} {line.verdict} ({100 * low:.1f} to {100 * high:.1f})"


def _needed(before: int, after: int, early: Sequence[Line]) -> str:
    """How many more answers or opinions of which version would do."""
    wanted = []
    for version, more in ((before, _more_before), (after, _more_after)):
        answers = max((more(line) for line in early if line.name != "thumbs down"), default=0)
        opinions = max((more(line) for line in early if line.name == "thumbs down"), default=0)
        wanted += [f"{answers} more answers of {version}"] * bool(answers)
        wanted += [f"{opinions} more opinions on {version}"] * bool(opinions)
    return ", ".join(wanted)


def _more_before(line: Line) -> int:
    return line.more_before


def _more_after(line: Line) -> int:
    return line.more_after
