"""JSON as OpenAI's API takes and gives it: by orjson, and where it refuses, by the standard parser.

orjson neither reads nor writes half a surrogate pair (`"\\ud83d"`, an emoji cut in two, which real
streams contain) and writes no integer beyond 64 bits. Both are JSON that OpenAI's API accepts.
"""

import json
from collections.abc import Sequence
from typing import Any

import orjson


def loads(data: bytes) -> Any:
    """`data` parsed. Raises ValueError where it is not JSON, RecursionError where it is nested too deeply."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if b"\\u" not in data:
            raise
    return json.loads(data.decode(), parse_constant=_refuse_constant)


def dumps(value: Any) -> bytes:
    """`value` as compact JSON, on one line."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def object_in(data: bytes) -> dict[str, Any] | None:
    """The JSON object that `data` is; None for anything else."""
    try:
        value = loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def objects_in(texts: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """The JSON objects that `texts` are, one each, parsed all at once; None where one of them is anything else."""
    try:
        values = orjson.loads(b"[%b]" % b",".join(texts))
    except orjson.JSONDecodeError:
        return None
    return values if len(values) == len(texts) and set(map(type, values)) <= {dict} else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def text_in(written: bytes) -> str:
    """The string that JSON writes as `written`, between the quotes; as it stands where that is none."""
    try:
        text = loads(b'"%s"' % written)
    except ValueError:
        return written.decode("utf-8", "replace")
    return str(text)
