"""`gateway prompts import`: prompts of OpenAI's, before they are gone and after."""

from typing import Any, BinaryIO

import click

from gateway.cli.admin import AdminApi, admin_option
from gateway.cli.prompts.common import all_prompts, as_json, author_option, path, show_json
from gateway.cli.prompts.folder import written
from gateway.prompt_check import placed
from gateway.prompts.document import PRODUCTION, PromptDocument
from gateway.prompts.openai import Imported, NotImportable, from_json, from_text
from gateway.wire import json_bytes

_MOST_SKIPPED = 200


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--name", help="What it is called here; needed for text.")
@click.option("--id", "id_", help="Its id at OpenAI, where the file does not say.")
@click.option("--version", type=click.IntRange(1), help="The number that it had there, where the file does not say.")
@click.option("--label", default=PRODUCTION, show_default=True, help="Point this label at it; '' for none.")
@click.option("--dry-run", is_flag=True, help="Show the files that it would be, and push nothing.")
@author_option
@as_json
@admin_option
def import_(
    file: BinaryIO,
    name: str | None,
    id_: str | None,
    version: int | None,
    label: str,
    dry_run: bool,
    author: str,
    admin: str,
    as_json: bool,
) -> None:
    """Take over prompts from OpenAI: its JSON (a prompt, a response that was made from one, the Playground's code), or
    their text; FILE may be - for standard input.

    Ids and numbers of versions stay what they were, so that callers change nothing. Numbers below one that was not
    brought along are filled with copies of it.
    """
    found = _found(file.read(), name)
    if len(found) > 1 and (id_ or version or name):
        raise click.UsageError("the file has several prompts: --name, --id and --version are for one")
    for one in found:
        for doubt in one.doubts:
            click.echo(f"{one.document.name}: {doubt}", err=True)
    if dry_run:
        for one in found:
            click.echo(written(one.document), nl=False)
        return
    api = AdminApi(admin)
    pushed = [_push(api, one, id_ or one.id, version or one.version, label, author) for one in found]
    if as_json:
        show_json(pushed)
        return
    for each in pushed:
        click.echo(f"{each['name']}  {each['id']}  version {each['version']}  {each['status']}")


def _found(data: bytes, name: str | None) -> list[Imported]:
    try:
        if data.lstrip()[:1] in (b"{", b"["):
            return sorted(from_json(json_bytes.loads(data), name=name), key=lambda one: one.version or 0)
        if name is None:
            raise click.UsageError("text has no name of its own: --name says what the prompt is called here")
        return [from_text(data.decode(), name=name)]
    except NotImportable as wrong:
        raise click.ClickException(str(wrong)) from None
    except (ValueError, RecursionError) as wrong:
        raise click.ClickException(f"neither JSON nor text in UTF-8: {wrong}") from None


def _push(
    api: AdminApi, one: Imported, id_: str | None, version: int | None, label: str, author: str
) -> dict[str, Any]:
    newest = next((each["newest"] for each in all_prompts(api) if each["name"] == one.document.name), 0)
    if version is not None and version - newest > _MOST_SKIPPED:
        raise click.ClickException(f"version {version} is too far from {newest}, the newest here")
    body: dict[str, Any] = {"author": author, "force": True}
    if id_ is not None:
        body["id"] = id_
    for number in range(newest + 1, version or 0):
        note = f"Stands for version {number}, which was not brought along; says what version {version} says."
        filling = one.document.model_copy(update={"notes": note})
        api.post("/admin/prompts", {**body, "document": _fields(filling)})
    pushed: dict[str, Any] = api.post("/admin/prompts", {**body, "document": _fields(one.document)})
    for finding in pushed["findings"]:
        click.echo(f"{one.document.name}: {placed(finding)}: {finding['severity']}: {finding['message']}", err=True)
    if label:
        number = pushed["version"]
        api.post(path(one.document.name, "labels", label, "activate"), {"version": number, "author": author})
    return pushed


def _fields(document: PromptDocument) -> dict[str, Any]:
    return document.model_dump(mode="json", exclude_defaults=True)
