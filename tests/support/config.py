"""Configurations as text, read without files."""

from pathlib import Path

from gateway.config.load import Loaded, parse
from gateway.errors import ConfigError

SMALL = """\
auth: none
upstreams:
  openai: {base_url: "https://api.openai.com/v1"}
routes:
  - {name: default, upstream: openai}
"""
"""The least that holds."""


def read(text: str, *, folder: Path = Path("/nowhere"), **env: str) -> Loaded:
    return parse(text, source="gateway.yaml", env=env, folder=folder)


def problems(text: str, *, folder: Path = Path("/nowhere"), **env: str) -> list[str]:
    """The lines of the ConfigError; empty where the text holds."""
    try:
        read(text, folder=folder, **env)
    except ConfigError as exc:
        return exc.problems or ["nothing was said"]
    return []


def warnings(text: str) -> tuple[str, ...]:
    return read(text).warnings
