"""What the commands of `gateway prompts` have in common."""

import getpass
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import click
import orjson

from gateway.cli.admin import AdminApi
from gateway.prompts.document import PromptDocument

F = TypeVar("F", bound=Callable[..., Any])

PAGE = 1000
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
label_option = click.option("--label", default="production", show_default=True, help="The label that is meant.")


def author_option(command: F) -> F:
    return click.option(
        "--author", default=_user, metavar="WHO", help="Whom the audit trail names; default: the user of this machine."
    )(command)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "cli"


def path(name: str, *rest: str) -> str:
    return "/".join(["/admin/prompts", *(quote(part, safe="") for part in (name, *rest))])


def all_prompts(api: AdminApi, *, archived: bool = False) -> Iterator[dict[str, Any]]:
    """In the order of their names; those archived only if asked for."""
    after: str | None = ""
    while after is not None:
        page = api.get("/admin/prompts", {"limit": str(PAGE), "after": after})
        yield from (each for each in page["prompts"] if archived or each["archived_at"] is None)
        after = page["next"]


def document_of(version: dict[str, Any]) -> PromptDocument:
    """What a version says, as the admin API shows it."""
    return PromptDocument.model_validate_json(orjson.dumps(version["document"]))


def show_json(value: object) -> None:
    click.echo(orjson.dumps(value).decode())


def table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def pointing(at: dict[str, Any] | None) -> str:
    """`3`, or `3 90%, 4 10% by user`."""
    if not at:
        return "-"
    arms = at["versions"]
    if len(arms) == 1:
        return str(arms[0]["version"])
    whole = sum(arm["weight"] for arm in arms)
    return ", ".join(f"{arm['version']} {100 * arm['weight'] / whole:.3g}%" for arm in arms) + f" by {at['sticky_by']}"
