"""Promises about files in the repository: what ships loads, and no key is left undocumented."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import schema
from gateway.config.document import read
from gateway.config.load import load
from gateway.config.model import Config
from gateway.config.problem import dotted
from gateway.config.tree import Node, walk
from tests.support.config import problems
from tests.support.config import read as read_config

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs/configuration.md"
REQUIRED = object()
SCHEMA = Config.model_json_schema()


def leaves(here: dict[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Every key that holds a value: `routes[].match.models` and its default."""
    for option in here.get("anyOf", [here]):
        if "$ref" in option:
            yield from leaves(SCHEMA["$defs"][option["$ref"].rpartition("/")[2]], path)
    for key, value in here.get("properties", {}).items():
        default = value.get("default", REQUIRED)
        inner = list(leaves(value, f"{path}.{key}".lstrip(".")))
        yield from inner or [(f"{path}.{key}".lstrip("."), default)]
    if (items := here.get("items", {})).get("$ref"):
        yield from leaves(items, f"{path}[]")
    for value in here.get("patternProperties", {}).values():
        yield from leaves(value, f"{path}.NAME")
    names = here.get("propertyNames", {}).get("enum", ["NAME"])
    if isinstance(more := here.get("additionalProperties"), dict) and ("$ref" in more or names != ["NAME"]):
        for name in names:
            yield from list(leaves(more, f"{path}.{name}")) or [(f"{path}.{name}", None)]


KEYS = dict(leaves(SCHEMA))


def written(node: Node, path: str = "") -> Iterator[str]:
    """The keys of a file in the same spelling."""
    names_are_free = node.path and not schema.known_keys(node.path)
    if isinstance(node.value, dict):
        yield path
        for key, child in node.value.items():
            yield from written(child, f"{path}.{'NAME' if names_are_free else key}".lstrip("."))
    elif isinstance(node.value, list) and any(isinstance(child.value, dict) for child in node.children):
        for child in node.children:
            yield from written(child, f"{path}[]")
    else:
        yield path


def environment(text: str) -> dict[str, str]:
    """A value for each variable that the head of a file lists."""
    names = re.findall(r"^#   ([A-Z][A-Z_]+) ", text, re.MULTILINE)
    return {name: f"https://{name.lower()}.example/v1" if name.endswith("URL") else f"of-{name}" for name in names}


def test_the_keys_are_found() -> None:
    assert {"server.admin.key", "upstreams.NAME.query", "tiers.cheap", "routes[].cache.ttl_s"} <= set(KEYS)
    assert KEYS["server.port"] == 8080
    assert KEYS["keys[].key"] is REQUIRED


def test_production_loads_with_the_variables_it_lists() -> None:
    file = ROOT / "config/production.yaml"
    env = environment(file.read_text()) | {"REDIS_URL": "", "LEDGER_URL": ""}
    loaded = load(file, env)
    assert loaded.warnings == ()
    assert loaded.config.store == "redis://redis:6379/0"


def test_production_shows_every_key() -> None:
    shown = set(written(read((ROOT / "config/production.yaml").read_text()).root))
    assert [key for key in KEYS if key not in shown] == []


def test_demo_loads_for_the_simulator_alone() -> None:
    loaded = load(ROOT / "config/demo.yaml", {"SIMULATOR_URL": "http://127.0.0.1:9000/v1"})
    assert loaded.warnings == ()
    assert [route.name for route in loaded.config.routes] == ["support", "assistant", "default"]
    assert loaded.config.server.host == loaded.config.server.admin.host == "127.0.0.1"


def test_every_key_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert dict(rows) == {key: _cell(default) for key, default in KEYS.items()}


def _cell(default: object) -> str:
    if default is REQUIRED:
        return "required"
    if default is None:
        return "none"
    return default if isinstance(default, str) else json.dumps(default)


def test_the_documented_output_is_what_check_prints() -> None:
    text = DOCUMENT.read_text()
    least, faulty = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    told, fine = re.findall(r"\$ gateway check gateway.yaml\n(.*?)```", text, re.DOTALL)
    assert told.splitlines() == [*problems(faulty), "gateway.yaml: 4 problems."]
    assert f"configuration {read_config(least, OPENAI_API_KEY='sk-1').hash})" in fine


@pytest.mark.parametrize("name", ["production.yaml", "demo.yaml"])
def test_what_ships_holds_no_secret(name: str) -> None:
    document = read((ROOT / "config" / name).read_text())
    secrets = [node for node in walk(document.root) if schema.is_secret(node.path) and isinstance(node.value, str)]
    harmless = re.compile(r"\$\{\w+\}|demo-[a-z]+-key|preview")
    assert [dotted(node.path) for node in secrets if not harmless.fullmatch(str(node.value))] == []
