"""`gateway reconcile`: does the ledger match the bill?"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import click
import orjson

from gateway.accounting.reconcile import Billed, Difference, Key, Unreadable, compare, read_export, total
from gateway.accounting.report import report
from gateway.cli.books import DEFAULT_FILE, LEDGER, dollars, fail, ledger_of, loaded, run, shortened
from gateway.config.problem import quoted
from gateway.values import Target

_LABELS = {
    "requests": "requests",
    "input_tokens": "tokens in",
    "cached_input_tokens": "cached",
    "output_tokens": "tokens out",
    "cost_nanousd": "dollars",
}


class _Share(click.FloatRange):
    """Not a number is in every range, and no drift is more than it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        share = float(super().convert(value, param, ctx))
        if math.isnan(share):
            self.fail("expected a number from 0 to 1, such as 0.01 for 1%, got nan", param, ctx)
        return share


@click.command()
@click.argument("export", type=click.File("r", encoding="utf-8-sig"), metavar="USAGE.CSV")
@click.option("-c", "--config", "file", type=click.Path(path_type=Path, exists=True), help="[default: ./gateway.yaml]")
@LEDGER
@click.option("--upstream", help="Compare only what went to this upstream [default: all].")
@click.option("--tolerance", type=_Share(0, 1), default=0.01, show_default=True, help="Drift that is no drift.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output; money in nano-dollars.")
def reconcile(
    export: TextIO, file: Path | None, url: str | None, upstream: str | None, tolerance: float, as_json: bool
) -> None:
    """Compare the ledger with a provider's usage or cost export, per day and model.

    USAGE.CSV is what OpenAI's dashboard exports. Only its days are compared, and only calls that were paid for.
    Exit code 1 where a day and model drift apart by more than --tolerance.
    """
    try:
        theirs = read_export(export)
    except Unreadable as error:
        fail(f"{export.name}: {error}")
    if not theirs:
        fail(f"{export.name}: expected at least one row, got none")
    served = run(_served(ledger_of(url, file), sorted({day for day, _ in theirs})))
    if upstream is not None and upstream not in served:
        _expect_known(upstream, served, file)
    ours = _together(served.values() if upstream is None else [served.get(upstream, {})])
    differences = compare(theirs, ours)
    drifting = [each for each in differences if each.drift() > tolerance]
    click.echo(_as_json(differences, tolerance) if as_json else _as_text(differences, drifting, tolerance))
    if drifting:
        raise SystemExit(1)


def _expect_known(upstream: str, served: Iterable[str], file: Path | None) -> None:
    """A slip of the pen would have the whole bill drift."""
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    known = {*served, *(loaded(file).config.upstreams if file is not None else ())}
    if upstream not in known:
        there = ", ".join(sorted(known)) or "none"
        fail(f"--upstream: no upstream is called {quoted(upstream)} in the ledger of these days; there are: {there}")


async def _served(url: str, days: list[str]) -> dict[str, dict[Key, Billed]]:
    """By upstream what it was paid for."""
    start, end = datetime.fromisoformat(days[0] + "T00:00+00:00"), datetime.fromisoformat(days[-1] + "T00:00+00:00")
    since_ms, until_ms = (int(at.timestamp() * 1000) for at in (start, end + timedelta(days=1)))
    found = await report(url, ("day", "model"), since_ms=since_ms, until_ms=until_ms)
    served: dict[str, dict[Key, Billed]] = {}
    for line in found.lines:
        day, name = line.group
        figures = line.figures
        target = Target.parse(name or "")
        is_paid = figures.input_tokens or figures.output_tokens or figures.cost_nanousd
        if not is_paid or not target.model or day not in days:
            continue
        paid = Billed(
            requests=figures.paid,
            input_tokens=figures.input_tokens,
            cached_input_tokens=figures.cached_input_tokens,
            output_tokens=figures.output_tokens,
            cost_nanousd=figures.cost_nanousd,
        )
        served.setdefault(target.upstream, {}).setdefault((day or "", target.model), Billed()).add(paid)
    return served


def _together(served: Iterable[Mapping[Key, Billed]]) -> dict[Key, Billed]:
    ours: dict[Key, Billed] = {}
    for of_one in served:
        for key, billed in of_one.items():
            ours.setdefault(key, Billed()).add(billed)
    return ours


def _as_text(differences: list[Difference], drifting: list[Difference], tolerance: float) -> str:
    whole = Difference("all", "", total(d.theirs for d in differences), total(d.ours for d in differences))
    told = [name for name in _LABELS if getattr(whole.theirs, name) is not None]
    head = ["day", "model", *(f"{_LABELS[name]} {side}" for name in told for side in ("billed", "ledger")), "drift"]
    rows = [_row(each, told) for each in (*differences, whole)]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(w) if n < 2 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
    verdict = f"All days and models agree within {tolerance:.1%}."
    if drifting:
        share = f"{len(drifting)} of {len(differences)} days and models drift by more than {tolerance:.1%}."
        verdict = f"{share} {_why(drifting)}"
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", verdict])


def _row(each: Difference, told: list[str]) -> list[str]:
    cells = [
        _cell(getattr(side, name) if side is not None else None, is_money=name == "cost_nanousd")
        for name in told
        for side in (each.theirs, each.ours)
    ]
    return [each.day, shortened(each.model), *cells, f"{each.drift():.2%}"]


def _cell(value: int | None, *, is_money: bool) -> str:
    return "-" if value is None else dollars(value) if is_money else f"{value:,}"


def _why(drifting: list[Difference]) -> str:
    """What such a gap usually is."""
    if all(each.ours is None for each in drifting):
        return "The ledger has none of these: calls that did not go through the gateway, or rows that were lost."
    if all(each.theirs is None for each in drifting):
        return "The export has none of these: another account, or days that the provider has not closed yet."
    return "Look for calls past the gateway, other prices, and `gateway report` for rows that were lost or estimated."


def _as_json(differences: list[Difference], tolerance: float) -> str:
    def side(billed: Billed | None) -> dict[str, int | None] | None:
        return None if billed is None else asdict(billed)

    document = [
        {
            "day": each.day,
            "model": each.model,
            "billed": side(each.theirs),
            "ledger": side(each.ours),
            "drift": each.drift(),
            "is_within": each.drift() <= tolerance,
        }
        for each in differences
    ]
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
