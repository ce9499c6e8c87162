"""`gateway prompts compare`: two versions of a prompt side by side, from the ledger."""

import time
from collections.abc import Sequence
from pathlib import Path

import click
import orjson

from gateway.accounting.compare import Comparison, Line, Unit, best_of
from gateway.accounting.compare import compare as compared
from gateway.accounting.compared import comparison_json, figures_json
from gateway.accounting.confidence import Interval
from gateway.accounting.versions import Figures, figures_of
from gateway.cli.books import fail, ledger_of, ledger_options, local, run
from gateway.clock import SystemClock
from gateway.errors import DatabaseUnavailable, NotFound
from gateway.prompts.store import PromptStore
from gateway.sql import Database

_COUNTS = (
    ("requests", "requests"),
    ("answers", "of these, whole answers of a model"),
    ("hits", "served again"),
    ("refused", "refused by the gateway"),
    ("left", "left by the client"),
    ("failed", "failed"),
)
_VERSION = click.IntRange(min=1)


@click.command()
@click.argument("name")
@click.argument("before", type=_VERSION)
@click.argument("after", type=_VERSION)
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="All figures of both, with intervals.")
def compare(
    name: str,
    before: int,
    after: int,
    file: Path | None,
    url: str | None,
    since_ms: int,
    until_ms: int | None,
    as_json: bool,
) -> None:
    """What version AFTER of the prompt NAME does otherwise than BEFORE: tokens, cost, time, how answers end, opinions.

    Figures stand with an interval of 95%, differences with one of 99%: what that leaves open is no difference. Below a
    hundred answers (fifty opinions) of either version nothing is said.
    """
    until = until_ms if until_ms is not None else int(time.time() * 1000) + 1
    name, found = run(_read(ledger_of(url, file), name, since_ms, until))
    if not found:
        fail(f"The ledger has no request for the prompt '{name}' from {local(since_ms)} to {local(until)}.")
    two = compared(name, best_of(found, before), best_of(found, after))
    click.echo(_json(two, since_ms, until) if as_json else _text(two, since_ms, until))


async def _read(url: str, name: str, since_ms: int, until_ms: int) -> tuple[str, list[Figures]]:
    """The prompt's name, which may have been asked for by id, and what the ledger has of it."""
    async with Database(url, only_read=True) as database:
        if not database.is_made:
            raise DatabaseUnavailable(f"there is no ledger at {database.name}: name the one to read with --ledger")
        try:
            name = (await PromptStore(database, SystemClock()).show(name))["name"]
        except NotFound as error:
            fail(str(error))
        return name, await figures_of(database, name, since_ms=since_ms, until_ms=until_ms)


def _json(two: Comparison, since_ms: int, until_ms: int) -> str:
    document = {
        "prompt": two.prompt,
        "since_ms": since_ms,
        "until_ms": until_ms,
        "versions": [figures_json(two.before), figures_json(two.after)],
        "comparison": comparison_json(two),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _text(two: Comparison, since_ms: int, until_ms: int) -> str:
    head = ["", _named(two.before), _named(two.after), "difference"]
    rows = [[words, _count(two.before, name), _count(two.after, name), ""] for name, words in _COUNTS]
    rows += [_row(line) for line in two.lines]
    title = f"{two.prompt}, {local(since_ms)} to {local(until_ms)}"
    return "\n".join([title, "", *_table([head, *rows]), "", two.verdict])


def _row(line: Line) -> list[str]:
    before = _shown(line.unit, line.before, line.before_interval)
    return [line.name, before, _shown(line.unit, line.after, line.after_interval), _difference(line)]


def _named(of: Figures) -> str:
    return f"{of.version} (shadow calls)" if of.is_shadow else str(of.version)


def _count(of: Figures, name: str) -> str:
    return f"{getattr(of, name):,}"


def _shown(unit: Unit, value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "-"
    between = "" if interval is None else f" ({_number(unit, interval.low)} to {_number(unit, interval.high)})"
    return _number(unit, value) + between


def _number(unit: Unit, value: float) -> str:
    if unit == "usd":
        return f"${value:.6f}"
    if unit == "seconds":
        return f"{value:.3g} s"
    return f"{100 * value:.1f}%" if unit == "share" else f"{value:,.1f}"


def _difference(line: Line) -> str:
    if line.verdict == "early":
        more = [f"{count} more" for count in (line.more_before, line.more_after) if count]
        return f"not enough yet: {' and '.join(more)}"
    if line.verdict == "none":
        return "neither"
    if line.change is None or line.change_interval is None:
        return line.verdict
    low, high = (f"{100 * end:+.1f}" for end in line.change_interval)
    size = f"{100 * line.change:+.1f}{' points' if line.unit == 'share' else '%'} ({low} to {high})"
    return size if line.verdict in ("more", "less") else f"none seen: {size}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
