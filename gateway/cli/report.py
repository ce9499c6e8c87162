"""`gateway report`: what was spent, on what, and what was saved."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.accounting.report import DIMENSIONS, Figures, Gap, Line, Report
from gateway.accounting.report import report as read_report
from gateway.cli.books import dollars, ledger_of, ledger_options, local, run, shortened

_BAR = 40
_NONE = "-"

COLUMNS: tuple[tuple[str, Callable[[Figures], int], bool], ...] = (
    ("requests", lambda figures: figures.requests, False),
    ("hits", lambda figures: figures.hits, False),
    ("refused", lambda figures: figures.refused, False),
    ("failed", lambda figures: figures.failed, False),
    ("tokens in", lambda figures: figures.input_tokens, False),
    ("cached", lambda figures: figures.cached_input_tokens, False),
    ("tokens out", lambda figures: figures.output_tokens, False),
    ("spent $", lambda figures: figures.cost_nanousd, True),
    ("saved $", lambda figures: figures.saved_nanousd, True),
    ("without $", lambda figures: figures.without_nanousd, True),
)
"""Heading, figure, whether it is money."""

SAVINGS = (
    ("cache", "stored answers served again"),
    ("coalesced", "calls shared by requests that came at once"),
    ("tier", "the cheap tier in place of the expensive one"),
    ("trim", "what was left out of prompts"),
)


class _Dimensions(click.ParamType[tuple[str, ...]]):
    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        for name in names:
            if name not in DIMENSIONS:
                self.fail(f"expected some of {', '.join(DIMENSIONS)}, got {name!r}", param, ctx)
        return names


@click.command()
@click.option("--by", type=_Dimensions(), default="route", show_default=True, help=f"Some of {','.join(DIMENSIONS)}.")
@ledger_options
@click.option("--csv", "as_csv", is_flag=True, help="One line for each group; money in nano-dollars.")
@click.option("--json", "as_json", is_flag=True, help="The same with totals and gaps.")
def report(
    by: tuple[str, ...],
    file: Path | None,
    url: str | None,
    since_ms: int,
    until_ms: int | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """What was spent and saved, from the ledger.

    "Without" is what the same requests would have cost without the gateway: what was spent and what was
    saved. Tokens are those that were paid for, so hits have none.
    """
    until = until_ms if until_ms is not None else int(time.time() * 1000) + 1
    found = run(read_report(ledger_of(url, file), by, since_ms=since_ms, until_ms=until))
    show = as_json_text if as_json else as_csv_text if as_csv else as_text
    click.echo(show(found))


# ------------------------------------------------------------------ for people


def as_text(found: Report) -> str:
    period = f"{local(found.since_ms)} to {local(found.until_ms)}"
    if not found.lines:
        return f"No requests from {period}."
    parts = [period, "", _table(found), "", _chart(found), "", _savings(found.total), *_remarks(found)]
    return "\n".join(parts)


def _table(found: Report) -> str:
    total = found.total
    largest = max(abs(total.without_nanousd), abs(total.cost_nanousd))
    head = [*found.by, *(name for name, _, _ in COLUMNS)]
    rows = [[*_names(line), *_cells(line.figures, largest)] for line in found.lines]
    last = ["all", *[""] * (len(found.by) - 1)][: len(found.by)]
    rows.append([*last, *_cells(total, largest)])
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    head_line, *lines = (_line(row, widths, len(found.by)) for row in [head, *rows])
    rule = "-" * len(head_line)
    return "\n".join([head_line, rule, *lines[:-1], rule, lines[-1]])


def _names(line: Line) -> list[str]:
    return [shortened(name) if name else _NONE for name in line.group]


def _cells(figures: Figures, largest: int) -> list[str]:
    return [
        _NONE if not (value := figure(figures)) else dollars(value, of=largest) if is_money else f"{value:,}"
        for _, figure, is_money in COLUMNS
    ]


def _line(row: Sequence[str], widths: Sequence[int], names: int) -> str:
    cells = [cell.ljust(w) if n < names else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()


def _chart(found: Report) -> str:
    """A bar for each group: what was spent, and lighter what was saved, of the largest."""
    largest = max(line.figures.without_nanousd for line in found.lines)
    if largest <= 0:
        return "Nothing was spent."
    names = [" · ".join(_names(line)) for line in found.lines]
    width = max(map(len, names))
    lines = []
    for name, line in zip(names, found.lines, strict=True):
        spent = round(_BAR * line.figures.cost_nanousd / largest)
        both = round(_BAR * line.figures.without_nanousd / largest)
        lines.append(f"{name.ljust(width)}  {'█' * spent}{'░' * (both - spent)}".rstrip())
    return "\n".join([*lines, f"{' ' * width}  █ spent  ░ saved"])


def _savings(total: Figures) -> str:
    share = total.saved_nanousd / total.without_nanousd if total.without_nanousd else 0
    lines = [f"saved {dollars(total.saved_nanousd)} of {dollars(total.without_nanousd)} ({share:.0%}):"]
    for reason, what in SAVINGS:
        amount = getattr(total, f"saved_{reason}_nanousd")
        if amount:
            lines.append(f"  {reason:10} {dollars(amount):>16}  {what}")
    sources = [
        f"{dollars(amount)} {source}"
        for source in ("reported", "computed", "estimated")
        if (amount := getattr(total, f"{source}_nanousd"))
    ]
    return "\n".join([*lines, f"spent: {', '.join(sources) or 'nothing'}"])


def _remarks(found: Report) -> list[str]:
    """What the sums do not hold."""
    total, remarks = found.total, []
    if total.unpriced:
        remarks.append(f"{total.unpriced:,} calls have no known price and are in no sum of dollars: see `prices:`.")
    if total.lost:
        remarks.append(
            f"{total.lost:,} requests ended with their process; what their budgets were charged is estimated."
        )
    return [*remarks, *(_gap(gap) for gap in found.gaps)]


def _gap(gap: Gap) -> str:
    who = f"{gap.host} (process {gap.pid})"
    if gap.dropped:
        return f"{who} dropped {gap.dropped:,} requests that are in its metrics alone."
    return f"{who} was killed: of what it served after {local(gap.seen_ms)}, its last half second, no row is here."


# ------------------------------------------------------------------ for programs


def as_csv_text(found: Report) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [*asdict(Figures()), "saved_nanousd", "without_nanousd"]
    writer.writerow([*found.by, *names])
    for line in found.lines:
        writer.writerow(
            [*("" if name is None else name for name in line.group), *(getattr(line.figures, n) for n in names)]
        )
    return out.getvalue().rstrip("\n")


def as_json_text(found: Report) -> str:
    def figures(of: Figures) -> dict[str, int]:
        return {**asdict(of), "saved_nanousd": of.saved_nanousd, "without_nanousd": of.without_nanousd}

    document = {
        "since_ms": found.since_ms,
        "until_ms": found.until_ms,
        "by": found.by,
        "lines": [{**dict(zip(found.by, line.group, strict=True)), **figures(line.figures)} for line in found.lines],
        "total": figures(found.total),
        "gaps": [asdict(gap) for gap in found.gaps],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
