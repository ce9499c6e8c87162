"""What the model says about a place in the file: which keys it knows, what it expects, whether it holds a secret.

All of it is read from the model's own JSON Schema, so that a key added to `model.py` is explained, suggested and
kept secret without a word here.
"""

import functools
from typing import Any

from gateway.config.model import Config
from gateway.config.problem import Path, one_of

_UNITS = {"s": "seconds", "ms": "milliseconds", "kb": "kilobytes", "mb": "megabytes", "usd": "US dollars"}
_REFERENCE = {
    "type": "string",
    "pattern": r"\$\{[^{}]+\}|^os\.environ/",
    "description": "${NAME}, ${NAME:-default}, ${file:PATH} or os.environ/NAME",
}


def known_keys(path: Path) -> tuple[str, ...]:
    """The keys that may stand in the mapping at `path`; empty where any name may."""
    here = _at(path)
    return tuple(here.get("properties", here.get("propertyNames", {}).get("enum", ())))


def keys_one_level_down(path: Path) -> tuple[str, ...]:
    """`cache.ttl_s` for a route: where a key may belong that was written one level too high."""
    return tuple(f"{key}.{inner}" for key in _at(path).get("properties", {}) for inner in known_keys((*path, key)))


def choices(path: Path) -> tuple[str, ...]:
    """The few words that may stand at `path`, where it is a choice of words."""
    return tuple(_at(path).get("enum", ()))


def is_secret(path: Path) -> bool:
    return bool(_at(path).get("writeOnly"))


def valid_value(path: Path) -> Any:
    """Something that `path` accepts, where the schema gives it away; None where it does not."""
    here = _at(path)
    return here["examples"][0] if here.get("examples") else here.get("minimum")


def expects_container(path: Path) -> bool:
    return _at(path).get("type") in ("object", "array")


def expected(path: Path, *, of_key: bool = False, with_upper_bound: bool = False) -> str:
    """In words, what may stand at `path`, or (`of_key`) what its last key may be.

    The upper bound is left out unless asked for: whoever wrote `10s` does not care that a day is the most.
    """
    if of_key:
        mapping = _at(path[:-1])
        pattern = next(iter(mapping.get("patternProperties", ())), None)
        return _text({"pattern": pattern} if pattern else mapping.get("propertyNames", {}))
    here = _at(path)
    if "const" in here:
        return repr(here["const"])
    if "enum" in here:
        return one_of(here["enum"])
    match here.get("type"):
        case "object":
            return "a mapping"
        case "array":
            return "a list"
        case "boolean":
            return "true or false"
        case "integer" | "number" as kind:
            return _number(here, kind, str(path[-1]), with_upper_bound=with_upper_bound)
        case "string":
            return "a secret" if here.get("format") == "password" else _text(here)
    return "another value"


def _number(here: dict[str, Any], kind: str, key: str, *, with_upper_bound: bool) -> str:
    unit = _UNITS.get(key.rpartition("_")[2]) if "_" in key or key == "usd" else None
    words = ["a whole number" if kind == "integer" else "a number"]
    if unit:
        words.append(f"of {unit}")
    low, high = here.get("minimum"), here.get("maximum")
    if low is not None and high is not None:
        return " ".join((*words, f"between {low:,} and {high:,}"))
    if (above := here.get("exclusiveMinimum")) is not None:
        words.append(f"> {above:,}")
    elif low is not None:
        words.append(f">= {low:,}")
    if high is not None and with_upper_bound:
        words.append(f"and <= {high:,}" if above is not None else f"<= {high:,}")
    return " ".join(words)


def _text(here: dict[str, Any]) -> str:
    words = "text"
    if examples := here.get("examples"):
        words += f" such as {one_of(examples)}"
    if pattern := here.get("pattern"):
        words += f" (matching {pattern})" if examples else f" matching {pattern}"
    if (shortest := here.get("minLength")) is not None:
        words += f" of {shortest} to {here['maxLength']} characters" if "maxLength" in here else f" of >= {shortest}"
    return words


# ------------------------------------------------------------------ walking the schema


@functools.cache
def _root() -> dict[str, Any]:
    return Config.model_json_schema()


def _at(path: Path) -> dict[str, Any]:
    """The schema of the value at `path`, with references followed and `null` left aside; {} for the unknown."""
    here = _root()
    for step in path:
        if isinstance(step, int):
            here = here.get("items", {})
        elif step in here.get("properties", {}):
            here = here["properties"][step]
        else:
            here = next(iter(here.get("patternProperties", {}).values()), here.get("additionalProperties", {}))
        here = _resolved(here)
    return here


def _resolved(here: dict[str, Any] | bool) -> dict[str, Any]:
    if isinstance(here, bool):  # additionalProperties: false
        return {}
    if "$ref" in here:
        return _resolved(_root()["$defs"][here["$ref"].rpartition("/")[2]])
    if "anyOf" in here:
        return _resolved(next(option for option in here["anyOf"] if option.get("type") != "null"))
    return here


# ------------------------------------------------------------------ for editors


def editor_schema() -> dict[str, Any]:
    """JSON Schema of the file as people write it: every scalar may also be a reference such as `${PORT}`."""
    schema: dict[str, Any] = _referable(Config.model_json_schema())
    schema["$defs"]["Reference"] = _REFERENCE
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "LLM gateway configuration"}


def _referable(part: Any) -> Any:
    """`part` with a reference allowed beside each scalar that plain text would not satisfy."""
    if isinstance(part, list):
        return [_referable(item) for item in part]
    if not isinstance(part, dict):
        return part
    kind, is_choice = part.get("type"), bool(part.keys() & {"pattern", "enum", "const"})
    if kind in ("integer", "number", "boolean") or (kind == "string" and is_choice):
        outer = {key: part[key] for key in ("title", "description", "default", "examples") if key in part}
        inner = {key: value for key, value in part.items() if key not in outer}
        return {"anyOf": [inner, {"$ref": "#/$defs/Reference"}], **outer}
    whole = {key: value if key in ("default", "propertyNames") else _referable(value) for key, value in part.items()}
    if "patternProperties" in whole:
        whole["additionalProperties"] = False
    return whole
