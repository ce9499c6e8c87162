"""Prompts as files of a folder."""

from pathlib import Path

import click
from pydantic import ValidationError

from gateway.config.problem import dotted
from gateway.prompts.document import PromptDocument
from gateway.prompts.files import SUFFIX, FileProblem, PromptFile, read_file, write_file

SUFFIXES = (SUFFIX, ".json")


def read(file: Path) -> PromptDocument:
    """Raises ClickException with what is wrong with it."""
    return read_placed(file).document


def read_placed(file: Path) -> PromptFile:
    """The same with the lines on which its messages begin; none of them in JSON."""
    try:
        data = file.read_bytes()
        if file.suffix == SUFFIX:
            return read_file(data.decode())
        if file.suffix not in SUFFIXES:
            raise click.ClickException(f"{file}: expected a file that ends in {' or '.join(SUFFIXES)}")
        return PromptFile(PromptDocument.model_validate_json(data), ())
    except FileProblem as wrong:
        raise click.ClickException("\n".join(f"{file}:{line}: {message}" for line, message in wrong.problems)) from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{file}: expected text in UTF-8") from None
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        told = [f"{file}: {dotted(tuple(each['loc']))}: {each['msg']}".replace(": :", ":") for each in problems]
        raise click.ClickException("\n".join(told)) from None


def written(document: PromptDocument) -> str:
    """As a file has it; reading it makes an equal document."""
    return write_file(document)


def files_in(place: Path) -> list[Path]:
    """`place` itself, or the prompts below it."""
    if place.is_file():
        return [place]
    return sorted(file for file in place.rglob("*") if file.suffix in SUFFIXES and file.is_file())
