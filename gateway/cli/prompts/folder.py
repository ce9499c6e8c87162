"""Prompts as files of a folder."""

from pathlib import Path

import click
import orjson
from pydantic import ValidationError

from gateway.prompts.document import PromptDocument

SUFFIXES = (".json",)


def read(file: Path) -> PromptDocument:
    """Raises ClickException with what is wrong with it."""
    try:
        return PromptDocument.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise click.ClickException(f"{file}: {error}") from None


def written(document: PromptDocument) -> str:
    """As a file has it; reading it makes an equal document."""
    fields = document.model_dump(mode="json", exclude_defaults=True)
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
