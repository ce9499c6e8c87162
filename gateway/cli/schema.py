"""`gateway schema`: JSON Schema of the configuration, for editors."""

import click
import orjson

from gateway.config.schema import editor_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file.

    Editors that speak YAML complete and check keys with it, say by a first line of
    `# yaml-language-server: $schema=gateway.schema.json`.
    """
    click.echo(orjson.dumps(editor_schema(), option=orjson.OPT_INDENT_2).decode())
