"""`gateway prompts push|pull`: between files and a running gateway."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.admin import AdminApi, admin_option
from gateway.cli.prompts.common import all_prompts, as_json, author_option, document_of, path, show_json, table
from gateway.cli.prompts.folder import SUFFIXES, files_in, read, written
from gateway.prompt_check import placed
from gateway.prompts.document import PRODUCTION, PromptDocument


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--label", help="Point this label at what is pushed, at once: production, canary, ….")
@click.option("--force", is_flag=True, help="Whatever lint says of it.")
@author_option
@as_json
@admin_option
def push(paths: tuple[Path, ...], label: str | None, force: bool, author: str, admin: str, as_json: bool) -> None:
    """Make each file, or each one in a folder, the newest version of its prompt.

    What is the newest version already stays as it is: pushing twice does no harm. All files are read before the first
    is pushed.
    """
    documents = {file: read(file) for path in paths for file in files_in(path)}
    if not documents:
        raise click.ClickException(f"there are no prompts: expected files that end in {' or '.join(SUFFIXES)}")
    api = AdminApi(admin)
    pushed = [_pushed(api, file, document, author, label, force=force) for file, document in documents.items()]
    if as_json:
        show_json(pushed)
        return
    table([[each["name"], f"version {each['version']}", each["status"], each["file"]] for each in pushed])
    for each in pushed:
        for found in each["findings"]:
            click.echo(f"{each['file']}: {placed(found)}: {found['severity']}: {found['message']}", err=True)
    _tell_what_is_next(pushed)


def _pushed(
    api: AdminApi, file: Path, document: PromptDocument, author: str, label: str | None, *, force: bool
) -> dict[str, Any]:
    body: dict[str, Any] = {"document": document.model_dump(mode="json", exclude_defaults=True), "author": author}
    if label is not None:
        body["label"] = label
    if force:
        body["force"] = True
    try:
        return {"file": str(file), **api.post("/admin/prompts", body)}
    except click.ClickException as error:
        raise click.ClickException(f"{file}: {error.message}") from None


def _tell_what_is_next(pushed: list[dict[str, Any]]) -> None:
    """A version that no label points at is served to nobody who does not ask for it by number."""
    idle = [each for each in pushed if each["status"] == "created" and not _is_served(each)]
    if len(idle) == 1:
        each = idle[0]
        click.echo(f"To serve it: gateway prompts activate {each['name']} {each['version']}", err=True)
    elif idle:
        click.echo(f"{len(idle)} of them are served once they have a label: gateway prompts activate", err=True)


def _is_served(pushed: dict[str, Any]) -> bool:
    versions = [arm["version"] for at in pushed["labels"].values() for arm in at["versions"]]
    return pushed["version"] in versions


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--version", default="newest", show_default=True, help=f"Or a label: {PRODUCTION}, ….")
@admin_option
def pull(folder: Path, names: tuple[str, ...], version: str, admin: str) -> None:
    """Write all prompts, or those NAMED, into FOLDER, a file each. Pushing them back changes nothing.

    Files that are there already are written over; git knows what they said.
    """
    api = AdminApi(admin)
    wanted = names or tuple(each["name"] for each in all_prompts(api))
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        document = document_of(api.get(path(name, "versions", version)))
        file = folder / f"{document.name}{SUFFIXES[0]}"
        file.write_text(written(document), encoding="utf-8", newline="\n")
    click.echo(f"{len(wanted)} prompt{'' if len(wanted) == 1 else 's'} in {folder}", err=True)
