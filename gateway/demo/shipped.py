"""What the demo reads: `config/demo.yaml` and the prompts beside this file."""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Prompt:
    source: str
    """Where it comes from; README.md beside the prompts says under which licence."""
    text: str


def prompts() -> list[Prompt]:
    """All shipped prompts, always in the same mixed order."""
    lines = (resources.files(__package__) / "prompts.jsonl").read_text("utf-8").splitlines()
    return [Prompt(row["source"], row["text"]) for row in map(json.loads, lines)]


def config_file(name: str) -> Path:
    """A configuration that ships: inside an installed package, or in the checkout it was not packaged from."""
    package = Path(__file__).parent.parent
    installed = package / "shipped_config" / name
    return installed if installed.exists() else package.parent / "config" / name
