"""`gateway cache`: what the response cache of a running gateway does, and what it is to forget."""

from typing import Any

import click
import orjson

from gateway.cli.admin import AdminApi, admin_option
from gateway.values import NANO

_MB = 1 << 20
_TITLES = ("route", "hits", "semantic", "coalesced", "stale", "misses", "bypassed", "hit %", "$ saved")


@click.group()
def cache() -> None:
    """Look at and purge the response cache of a running gateway.

    Its admin key is read from GATEWAY_ADMIN_KEY.
    """


_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@cache.command(short_help="hits and dollars saved of each route, what processes hold")
@_as_json
@admin_option
def stats(admin: str, as_json: bool) -> None:
    """Hits and dollars saved of each route since the gateway started, and what its processes hold."""
    found = AdminApi(admin).get("/admin/cache")
    if as_json:
        click.echo(orjson.dumps(found).decode())
        return
    click.echo("{:20} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9} {:>6} {:>12}".format(*_TITLES))
    for route, figures in sorted(found["routes"].items()):
        click.echo(_row(route, figures))
    for process in found["processes"]:
        state = "" if process["is_local_on"] else ", its memory unused while the store is away"
        click.echo(
            f"process {process['pid']}: {process['entries']:,} answers in memory, {process['bytes'] / _MB:,.1f} MB, "
            f"{process['flights']:,} calls under way{state}"
        )
        for route, standing in process.get("semantic", {}).get("routes", {}).items():
            click.echo(_semantic_row(process["pid"], route, standing))


def _row(route: str, figures: dict[str, int]) -> str:
    answered = figures["hit"] + figures["semantic"] + figures["coalesced"] + figures["stale"]
    asked = answered + figures["miss"] + figures["bypass"]
    share = f"{answered / asked:6.1%}" if asked else "     -"
    return (
        f"{route:20} {figures['hit']:>9,} {figures['semantic']:>9,} {figures['coalesced']:>9,} "
        f"{figures['stale']:>7,} {figures['miss']:>9,} {figures['bypass']:>9,} {share}"
        f" {figures['saved_nanousd'] / NANO:>12,.6f}"
    )


def _semantic_row(pid: int, route: str, standing: dict[str, Any]) -> str:
    state = {"trial": "on trial, serves nothing yet", "open": "open", "closed": "CLOSED, serves nothing"}
    return (
        f"process {pid}: semantic cache of {route}: {state[standing['state']]}; {standing['wrong']} of"
        f" {standing['checks']} compared answers were wrong (95%: {standing['low']:.1%} to {standing['high']:.1%})"
    )


@cache.command(short_help="put a semantic cache that closed itself back on trial")
@click.option("--route", required=True, help="Of this route.")
@admin_option
def reopen(admin: str, route: str) -> None:
    """Put a semantic cache that closed itself back on trial.

    What it compared so far is forgotten. It serves again once enough answers proved right.
    """
    AdminApi(admin).post("/admin/cache/reopen", {"route": route})
    click.echo(f"on trial again: {route}")


@cache.command(short_help="have answers forgotten: those there are, and those on their way")
@click.option("--route", help="Answers of this route.")
@click.option("--key", help="Answers shared within this key alone.")
@click.option("--team", help="Answers shared within this team.")
@click.option("--all", "everything", is_flag=True, help="Everything.")
@_as_json
@admin_option
def purge(admin: str, route: str | None, key: str | None, team: str | None, everything: bool, as_json: bool) -> None:
    """Have answers forgotten: those there are, and those that are being made.

    No process serves them any more within a second.
    """
    named: dict[str, Any] = {"route": route, "key": key, "team": team}
    asked = {name: value for name, value in named.items() if value is not None}
    if everything:
        asked["all"] = True
    if not asked:
        raise click.UsageError("say what to purge: --route, --key, --team, or --all")
    found = AdminApi(admin).post("/admin/cache/purge", asked)
    what = ", ".join(f"{name} {value}" for name, value in asked.items() if name != "all") or "everything"
    click.echo(orjson.dumps(found).decode() if as_json else f"purged: {what}")
