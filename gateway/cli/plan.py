"""`gateway plan`: what another configuration would have cost, over the requests that the ledger has."""

import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounting.asked import Asked, Reader, query, used_query
from gateway.accounting.books import opened, parts
from gateway.accounting.courses import Courses, policy_of
from gateway.accounting.plan import Outcome, Replay, as_it_was, total
from gateway.accounting.prices import PriceTable
from gateway.admission.limits import began_ms
from gateway.admission.past import PastCaps
from gateway.cli.books import DEFAULT_FILE, dollars, fail, ledger_of, ledger_options, loaded, local, run
from gateway.config.load import Loaded
from gateway.config.model import Config, IssuedKey
from gateway.errors import ConfigError
from gateway.routing.decide import threshold_of
from gateway.routing.model import Classifier
from gateway.tables import issued_keys

_ROWS: tuple[tuple[str, Callable[[Outcome], int], bool], ...] = (
    ("requests", lambda of: of.requests, False),
    ("  refused", lambda of: of.refused, False),
    ("    by limits and budgets", lambda of: of.capped, False),
    ("  to the cheap tier", lambda of: of.cheap, False),
    ("  to the expensive tier", lambda of: of.expensive, False),
    ("  answered from the cache", lambda of: of.hits, False),
    ("tokens in, paid for", lambda of: of.input_tokens, False),
    ("tokens out, paid for", lambda of: of.output_tokens, False),
    ("calls without a price", lambda of: of.unpriced, False),
    ("dollars", lambda of: of.cost_nanousd, True),
)

Columns = dict[str, dict[str, Outcome]]
"""Heading → route → what its requests came to."""


@click.command()
@click.argument("new", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output; money in nano-dollars.")
def plan(new: Path, file: Path | None, url: str | None, since_ms: int, until_ms: int | None, as_json: bool) -> None:
    """What the configuration NEW would have made of the requests in the ledger.

    Beside it stand the ledger itself and, with --config or a ./gateway.yaml, that configuration replayed the same
    way: how far it is from the ledger says how far the replay can be trusted.
    """
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    until = until_ms if until_ms is not None else int(time.time() * 1000) + 1
    configurations = {"today": loaded(file)} if file is not None else {}
    configurations["new"] = loaded(new)
    columns = run(_played(ledger_of(url, file or new), configurations, since_ms, until))
    if as_json:
        click.echo(as_json_text(columns))
    elif not columns["ledger"]:
        click.echo(f"No requests from {local(since_ms)} to {local(until)}.")
    else:
        click.echo(f"{local(since_ms)} to {local(until)}\n\n{as_text(columns)}")


def replay_of(configuration: Loaded, caps: PastCaps | None = None) -> Replay:
    config = configuration.config
    try:
        policies = {
            route.name: policy_of(route, _threshold(configuration, number))
            for number, route in enumerate(config.routes)
        }
    except ConfigError as error:
        fail("\n".join(error.problems))
    prices = PriceTable.build(config.prices, at=datetime.now(UTC), limits=config.model_limits)
    tiers: dict[str, tuple[str, ...]] = {name: tuple(map(str, config.targets(name))) for name in config.tiers}
    return Replay(Courses(policies, tiers, prices), config.unknown_price == "reject", caps)


def _threshold(configuration: Loaded, number: int) -> float:
    route = configuration.config.routes[number]
    if route.tier != "auto":
        return 0.0
    if route.router.threshold is not None:
        return route.router.threshold
    name = route.router.classifier
    return threshold_of(route, Classifier.load(None if name is None else configuration.folder / name))


async def _played(url: str, configurations: Mapping[str, Loaded], since_ms: int, until_ms: int) -> Columns:
    as_was: dict[str, Outcome] = {}
    reader = Reader()
    gc.disable()  # rows make no circles, and looking for some among millions of them takes a fifth of the time
    async with opened(url) as connection:
        replays = {
            name: replay_of(each, await _caps(connection, each.config, since_ms))
            for name, each in configurations.items()
        }
        with _progress(until_ms) as advance:
            async for rows in parts(connection, query(since_ms, until_ms)):
                asked = reader.columns(rows)
                kinds, payers = reader.kinds, reader.payers
                as_it_was(asked, kinds, as_was)
                for replay in replays.values():
                    replay.play(asked, kinds, payers)
                advance(asked)
    return {"ledger": as_was, **{name: replay.by_route for name, replay in replays.items()}}


async def _caps(connection: AsyncConnection, config: Config, since_ms: int) -> PastCaps:
    """Those of `config` and of the keys in the database, with what was used of each present period before."""
    issued = (await connection.execute(select(issued_keys.c.settings))).scalars()
    caps = PastCaps(config, [IssuedKey.model_validate_json(settings) for settings in issued], since_ms)
    for per in caps.periods:
        for key, team, route, tokens, nanousd in await connection.execute(
            used_query(began_ms(per, since_ms), since_ms)
        ):
            caps.charge(per, key=key, team=team, route=route, tokens=int(tokens), nanousd=int(nanousd))
    return caps


@contextmanager
def _progress(until_ms: int) -> Iterator[Callable[[Asked], None]]:
    """A bar on a terminal, as far as the requests have come in time."""
    now_ms = int(time.time() * 1000)
    with click.progressbar(length=1000, label="replaying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        first_ms: list[int] = []

        def advance(asked: Asked) -> None:
            first_ms.append(int(asked.at_ms[0]))
            come, whole = int(asked.at_ms[-1]) - first_ms[0], min(until_ms, now_ms) - first_ms[0]
            bar.update(1000 * come // max(1, whole) - bar.pos)

        yield advance


# ------------------------------------------------------------------ shown


def as_text(columns: Columns) -> str:
    totals = {name: total(by_route) for name, by_route in columns.items()}
    parts = [_table(totals), _by_route(columns), *_remarks(totals)]
    return "\n\n".join(part for part in parts if part)


def _table(totals: Mapping[str, Outcome]) -> str:
    largest = max(abs(outcome.cost_nanousd) for outcome in totals.values())
    rows = [
        [label, *(_cell(figure(outcome), is_money, largest) for outcome in totals.values())]
        for label, figure, is_money in _ROWS
    ]
    return _aligned([["", *totals], *rows])


def _by_route(columns: Columns) -> str:
    """Dollars of each route, most expensive first."""
    totals = [outcome.cost_nanousd for by_route in columns.values() for outcome in by_route.values()]
    largest = max(totals, default=0)
    names = sorted(columns["ledger"], key=lambda name: -columns["ledger"][name].cost_nanousd)
    rows = [
        [name, *(_cell(by_route.get(name, Outcome()).cost_nanousd, True, largest) for by_route in columns.values())]
        for name in names
    ]
    return _aligned([["dollars by route", *columns], *rows])


def _cell(value: int, is_money: bool, largest: int) -> str:
    return "-" if not value else dollars(value, of=largest) if is_money else f"{value:,}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *lines = (
        "   ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join([head, "-" * len(head), *lines])


def _remarks(totals: Mapping[str, Outcome]) -> list[str]:
    new, was = totals["new"], totals["ledger"]
    lines = [
        f"{new.moved_down:,} requests would move to the cheap tier, {new.moved_up:,} to the expensive one;"
        f" {dollars(new.cost_nanousd - was.cost_nanousd)} dollars beside the ledger"
        + (f" ({new.cost_nanousd / was.cost_nanousd - 1:+.1%})." if was.cost_nanousd else ".")
    ]
    if "today" in totals and was.cost_nanousd:
        share = totals["today"].cost_nanousd / was.cost_nanousd - 1
        lines.append(f"Today's configuration, replayed the same way, comes to {share:+.1%} of the ledger.")
    for count, what in (
        (new.guessed, "answers are guesses: they were refused, and now would not be"),
        (new.unjudged, "requests of auto routes were never judged by the classifier; they count as expensive"),
        (new.unchanged, "requests were of routes that are not in the new configuration; they stay what they were"),
    ):
        if count:
            lines.append(f"{count:,} {what}.")
    return ["\n".join(lines)]


def as_json_text(columns: Columns) -> str:
    document = {
        name: {"total": asdict(total(by_route)), "routes": {route: asdict(of) for route, of in by_route.items()}}
        for name, by_route in columns.items()
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
