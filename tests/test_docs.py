"""What the documentation promises is there: commands are described, links lead somewhere, nothing local is named."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli.main import main

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LOCAL = ["/" + "work/", "../" + "shared", "." + "library"]
"""Places of the machines this was written on."""
REGISTRIES = ["pypi" + ".org", "npm" + "js", "files.python" + "hosted"]
"""Named by no lock and no document: an operator's index may be another."""


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", *patterns], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def commands(command: click.Command, path: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{path} {name} is listed but not there"
            yield from commands(inner, f"{path} {name}")
    elif not command.hidden:
        yield path


def anchors(text: str) -> set[str]:
    """The names GitHub gives to the headings of a document."""
    titles = re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_command_is_described() -> None:
    documents = "\n".join(file.read_text() for file in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    assert [path for path in commands(main, "gateway") if not re.search(rf"{path}\b", documents)] == []


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for document in tracked("*.md"):
        for link in LINK.findall(FENCE.sub("", document.read_text())):
            file, _, anchor = link.partition("#")
            target = document.parent / file if file else document
            if re.match(r"[a-z]+:", link):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
                broken.append(f"{document.relative_to(ROOT)}: {link}")
    assert broken == []


@pytest.mark.parametrize("word", [*LOCAL, *REGISTRIES])
def test_no_file_names(word: str) -> None:
    assert [str(file.relative_to(ROOT)) for file in tracked() if word.encode() in file.read_bytes()] == []
