"""Request bodies: bytes → one JSON object, or a 400 that says what is wrong."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.errors import BadRequest
from gateway.wire import json_bytes

TOO_MANY = "integer_above_max_value"
_LENIENT_BYTES = 2 << 20
"""Half a surrogate pair is read in a body of so many bytes: the parser that can takes three times as long."""
MAX_DEPTH_MESSAGE = "The request body is nested too deeply."


def parse_object(body: bytes, *, max_nodes: int) -> dict[str, Any]:
    """`body` as a JSON object with at most `max_nodes` brackets, commas and colons."""
    refuse_many_nodes(body, max_nodes)
    return parsed(body)


def refuse_many_nodes(body: bytes, max_nodes: int) -> None:
    """BadRequest for a body with more than `max_nodes` brackets, commas and colons.

    Parsing holds the interpreter lock (a thread would not help), so the work is bounded by a count
    over the bytes first: 1 ms a megabyte. Commas inside strings count too; that errs on the safe side. A member of an
    object counts twice, by its comma and its colon, and takes twice the time of an item in a list.
    """
    nodes = body.count(b"[") + body.count(b"{") + body.count(b",") + body.count(b":")
    if nodes > max_nodes:
        raise BadRequest(
            f"The request body holds {nodes:,} brackets, commas and colons; this gateway accepts {max_nodes:,}."
        )


def parsed(body: bytes) -> dict[str, Any]:
    """`body` as a JSON object, whatever it holds."""
    fields = _loads(body)
    if not isinstance(fields, dict):
        raise BadRequest(f"The request body must be a JSON object, not {_name_of(fields)}.")
    return fields


def _loads(body: bytes) -> Any:
    try:
        return json_bytes.loads(body) if len(body) <= _LENIENT_BYTES else orjson.loads(body)
    except RecursionError:
        raise BadRequest(MAX_DEPTH_MESSAGE) from None
    except ValueError as error:
        if "depth limit" in str(error):
            raise BadRequest(MAX_DEPTH_MESSAGE) from None
        raise BadRequest(f"The request body is not valid JSON: {error}.") from None


def _name_of(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def optional_bool(fields: Mapping[str, Any], name: str) -> bool:
    """`fields[name]`; absent and null are False."""
    value = fields.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong_type(name, "a boolean", value)
    return value


def optional_int(fields: Mapping[str, Any], name: str, *, least: int) -> int | None:
    """`fields[name]`; absent and null are None."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, "an integer", value)
    if value < least:
        raise BadRequest(f"'{name}' must be at least {least}, not {value}.", param=name, code="integer_below_min_value")
    return value


def required_text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    return value


def required_list(fields: Mapping[str, Any], name: str) -> list[Any]:
    """A non-empty array."""
    value = fields.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, list):
        raise wrong_type(name, "an array", value)
    if not value:
        raise BadRequest(f"'{name}' must not be empty.", param=name, code="empty_array")
    return value


def optional_object(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`fields[name]`; absent and null are an empty object."""
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(name, "an object", value)
    return value


def missing(name: str) -> BadRequest:
    return BadRequest(f"You must provide '{name}'.", param=name, code="missing_required_parameter")


def wrong_type(name: str, expected: str, value: object) -> BadRequest:
    got = "an object" if isinstance(value, dict) else _name_of(value)
    return BadRequest(f"'{name}' must be {expected}, not {got}.", param=name, code="invalid_type")
