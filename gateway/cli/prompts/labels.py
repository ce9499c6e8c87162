"""`gateway prompts activate|rollback|split|shadow|archive`: which version whom is served."""

import re
from typing import Any

import click

from gateway.cli.admin import AdminApi, admin_option
from gateway.cli.prompts.common import as_json, author_option, label_option, path, pointing, show_json

_ARM = re.compile(r"(\d{1,9})=(\d{1,7})%?")


@click.command()
@click.argument("name")
@click.argument("version")
@label_option
@author_option
@as_json
@admin_option
def activate(name: str, version: str, label: str, author: str, admin: str, as_json: bool) -> None:
    """Have NAME's label point at VERSION: a number, another label, or `newest`. Ends a split of it.

    `activate support-bot canary` has production point where canary does.
    """
    api = AdminApi(admin)
    number = int(version) if version.isdecimal() else api.get(path(name, "versions", version))["version"]
    _show(api.post(path(name, "labels", label, "activate"), {"version": number, "author": author}), as_json=as_json)


@click.command()
@click.argument("name")
@label_option
@author_option
@as_json
@admin_option
def rollback(name: str, label: str, author: str, admin: str, as_json: bool) -> None:
    """Have NAME's label point where it did before; again, and it goes one step further back."""
    api = AdminApi(admin)
    body: dict[str, Any] = {"author": author}
    now = api.get(path(name))["labels"].get(label, {}).get("versions", [])
    if len(now) == 1:  # two people who see the same trouble must not go back twice
        body["expected"] = now[0]["version"]
    _show(api.post(path(name, "labels", label, "rollback"), body), as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("weights", nargs=-1, metavar="VERSION=WEIGHT...")
@click.option("--by", type=click.Choice(["user", "conversation"]), default="user", show_default=True, help="Who stays.")
@click.option("--stop", is_flag=True, help="End it: the label points where it did before.")
@label_option
@author_option
@as_json
@admin_option
def split(
    name: str, weights: tuple[str, ...], by: str, stop: bool, label: str, author: str, admin: str, as_json: bool
) -> None:
    """Share out the requests for NAME's label: `split support-bot 3=90 4=10`.

    Each user (or conversation) stays with the version that it got first. Given again with other weights, it moves no
    more of them than it has to. `activate` ends it with the version of your choice, `--stop` with the one before it.
    """
    if stop == bool(weights):
        raise click.UsageError("expected VERSION=WEIGHT at least twice, as in 3=90 4=10, or --stop")
    api = AdminApi(admin)
    body: dict[str, Any] = {"author": author}
    if not stop:
        body |= {"versions": [_arm(text) for text in weights], "sticky_by": by}
    _show(api.post(path(name, "labels", label, "stop" if stop else "split"), body), as_json=as_json)


def _arm(text: str) -> dict[str, int]:
    match = _ARM.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"expected VERSION=WEIGHT such as 3=90, got '{text}'")
    return {"version": int(match[1]), "weight": int(match[2])}


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--share", default=10.0, show_default=True, type=click.FloatRange(0, 100, min_open=True), metavar="%")
@click.option("--usd-per-day", default=1.0, show_default=True, type=click.FloatRange(min=0), help="At most.")
@click.option("--stop", is_flag=True, help="No more of it.")
@author_option
@as_json
@admin_option
def shadow(
    name: str,
    version: int | None,
    share: float,
    usd_per_day: float,
    stop: bool,
    author: str,
    admin: str,
    as_json: bool,
) -> None:
    """Have VERSION answered beside the one that NAME's callers get, for a share of the requests. Nobody is shown it."""
    if stop == (version is not None):
        raise click.UsageError("expected a VERSION, or --stop")
    wanted = None if stop else {"version": version, "share": share / 100, "usd_per_day": usd_per_day}
    found = AdminApi(admin).post(path(name, "shadow"), {"shadow": wanted, "author": author})
    if as_json:
        show_json(found)
    elif found["shadow"] is None:
        click.echo(f"{found['name']}: no shadow")
    else:
        click.echo(f"{found['name']}: version {version} beside {share:g}% of requests, ${usd_per_day:g} a day at most")


@click.command()
@click.argument("name")
@click.option("--restore", is_flag=True, help="Serve it again.")
@author_option
@as_json
@admin_option
def archive(name: str, restore: bool, author: str, admin: str, as_json: bool) -> None:
    """Serve NAME no longer: callers get a 404. Nothing is deleted, and the name stays taken."""
    action = "restore" if restore else "archive"
    found = AdminApi(admin).post(path(name, action), {"author": author})
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found['name']}: {'served again' if restore else 'archived'}")


def _show(label: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(label)
    else:
        click.echo(f"{label['name']}: {label['label']} is {pointing(label)}")
