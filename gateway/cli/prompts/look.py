"""`gateway prompts list|show|diff|audit`: what there is."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.cli.admin import AdminApi, admin_option
from gateway.cli.prompts.common import all_prompts, as_json, document_of, path, pointing, show_json, table
from gateway.cli.prompts.folder import read, written
from gateway.prompts.document import PRODUCTION


@click.command("list")
@click.option("--archived", is_flag=True, help="Those archived as well.")
@as_json
@admin_option
def list_(admin: str, as_json: bool, archived: bool) -> None:
    """What prompts there are, and where their labels point."""
    found = list(all_prompts(AdminApi(admin), archived=archived))
    if as_json:
        show_json(found)
        return
    if not found:
        click.echo("There are no prompts yet: `gateway prompts push FILE` makes the first.", err=True)
        return
    rows = [["name", "id", "newest", PRODUCTION, "other labels", "shadow"]]
    table(rows + [_row(each) for each in found])


def _row(each: dict[str, Any]) -> list[str]:
    labels, shadow = each["labels"], each["shadow"]
    others = "; ".join(f"{label}: {pointing(at)}" for label, at in labels.items() if label != PRODUCTION)
    name = each["name"] + (" (archived)" if each["archived_at"] else "")
    beside = "-" if shadow is None else f"{shadow['version']} {100 * shadow['share']:.3g}%"
    return [name, each["id"], str(each["newest"]), pointing(labels.get(PRODUCTION)), others or "-", beside]


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@as_json
@admin_option
def show(name: str, version: str | None, admin: str, as_json: bool) -> None:
    """NAME with its versions; or what VERSION says: a number, a label or `newest`."""
    api = AdminApi(admin)
    if version is not None:
        found = api.get(path(name, "versions", version))
        show_json(found) if as_json else click.echo(written(document_of(found)), nl=False)
        return
    prompt = {**api.get(path(name)), **api.get(path(name, "versions"))}
    if as_json:
        show_json(prompt)
        return
    labels = "; ".join(f"{label}: {pointing(at)}" for label, at in prompt["labels"].items())
    table([["name", prompt["name"]], ["id", prompt["id"]], ["labels", labels or "none"], *_of_shadow(prompt)])
    click.echo()
    rows = [["version", "created", "author", "labels", "digest"]]
    rows += [_version_row(each, prompt["labels"]) for each in prompt["versions"]]
    table(rows)


def _of_shadow(prompt: dict[str, Any]) -> list[list[str]]:
    shadow = prompt["shadow"]
    if shadow is None:
        return []
    share = f"{100 * shadow['share']:.3g}%"
    return [["shadow", f"version {shadow['version']}, {share} of requests, ${shadow['usd_per_day']:g} a day at most"]]


def _version_row(version: dict[str, Any], labels: dict[str, Any]) -> list[str]:
    number = version["version"]
    here = [label for label, at in labels.items() if any(arm["version"] == number for arm in at["versions"])]
    created = version["created_at"][:19].replace("T", " ")
    return [str(number), created, version["author"], ", ".join(here) or "-", version["digest"][:12]]


@click.command()
@click.argument("name")
@click.argument("old", default=PRODUCTION)
@click.argument("new", default="newest")
@admin_option
def diff(name: str, old: str, new: str, admin: str) -> None:
    """What changed in NAME from OLD to NEW: numbers, labels, `newest`, or files.

    Without them: what is newer than production. Ends with 1 where they differ, as diff does.
    """
    api = AdminApi(admin)
    was, now = (_text(api, name, which) for which in (old, new))
    lines = list(
        difflib.unified_diff(was.splitlines(), now.splitlines(), f"{name} {old}", f"{name} {new}", lineterm="")
    )
    for line in _coloured(lines):
        click.echo(line)
    if lines:
        raise click.exceptions.Exit(1)


def _text(api: AdminApi, name: str, which: str) -> str:
    if Path(which).suffix and Path(which).is_file():
        return written(read(Path(which)))
    return written(document_of(api.get(path(name, "versions", which))))


def _coloured(lines: list[str]) -> Iterator[str]:
    """Click leaves the colours out where nobody sees them."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        if line.startswith(("+++", "---")):
            yield click.style(line, bold=True)
        else:
            yield click.style(line, fg=colours.get(line[:1]))


@click.command()
@click.argument("name", required=False)
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 1000))
@as_json
@admin_option
def audit(name: str | None, limit: int, admin: str, as_json: bool) -> None:
    """Who changed what of NAME, or of all prompts; the last change first."""
    where = "/admin/prompts-audit" if name is None else path(name, "audit")
    changes = AdminApi(admin).get(where, {"limit": str(limit)})["changes"]
    if as_json:
        show_json(changes)
        return
    rows = [["at", "author", "prompt", "action", "label", "before", "after"]]
    table(rows + [_change_row(each) for each in changes])


def _change_row(change: dict[str, Any]) -> list[str]:
    at = change["at"][:19].replace("T", " ")
    names = [change["author"], change["name"], change["action"], change["label"] or "-"]
    return [at, *names, _stood(change["before"]), _stood(change["after"])]


def _stood(what: dict[str, Any] | None) -> str:
    if what is None:
        return "-"
    if "versions" in what:
        return pointing(what)
    return f"{what['version']}" + (f" {100 * what['share']:.3g}%" if "share" in what else "")
