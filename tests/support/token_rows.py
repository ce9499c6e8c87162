"""The recorded requests of `data/tokens`: read, made whole, and sorted into kinds and halves."""

import base64
import functools
import gzip
import hashlib
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.values import Request

ROWS = Path(__file__).parents[2] / "data" / "tokens" / "rows.jsonl.gz"

KINDS = (
    "chat plain",
    "chat tools",
    "chat format",
    "completions",
    "embeddings",
    "responses plain",
    "responses tools",
    "images, size known",
    "images, size unknown",
    "sound and files",
    "sealed reasoning",
    "hosted tools",
    "state elsewhere",
)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    id: str
    kind: str
    """One of `KINDS`."""
    is_fitted: bool
    """Of the half that the formulas were fitted on; the other half was only reported."""
    request: Request
    prompt_tokens: int
    source: str


@functools.cache
def rows() -> tuple[Row, ...]:
    """All but the two whose answers reported no usage at all."""
    found = (_row(json.loads(line)) for line in gzip.decompress(ROWS.read_bytes()).splitlines())
    return tuple(row for row in found if row.prompt_tokens)


def _row(raw: dict[str, Any]) -> Row:
    fields = _made_whole(raw["request"])
    request = Request(raw["api"], json.dumps(fields).encode(), fields, raw["model"])
    is_fitted = hashlib.sha256(raw["id"].encode()).digest()[0] % 2 == 0
    source = f"{raw['source']['repo']} {raw['source']['path'].rpartition('/')[2]}"
    return Row(raw["id"], _kind(raw, fields), is_fitted, request, raw["prompt_tokens"], source)


_ELIDED = re.compile(r"<elided (\d+) chars sha256=\w+(?: \w+ (\d+)x(\d+))?>")


def _made_whole(value: Any) -> Any:
    """An elided image becomes the head of a PNG of its size, any other elided string as many letters."""
    if isinstance(value, dict):
        return {key: _made_whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_made_whole(item) for item in value]
    elided = _ELIDED.fullmatch(value) if isinstance(value, str) else None
    if elided is None:
        return value
    chars, width, height = elided.groups()
    return png_url(int(width), int(height)) if width else "A" * int(chars)


def png_url(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\x00\x00\x00"
    return "data:image/png;base64," + base64.b64encode(head).decode()


def _kind(raw: dict[str, Any], fields: dict[str, Any]) -> str:
    api = raw["api"]
    if api in ("completions", "embeddings"):
        return str(api)
    types = {item.get("type", "message") for item in _items(fields)}
    if raw["stateful"] or types & {"compaction"}:
        return "state elsewhere"
    if _has_hosted(fields, types):
        return "hosted tools"
    if raw["image_sizes"]:
        return "images, size known"
    if '"image_url"' in json.dumps(fields):
        return "images, size unknown"
    if raw["has_audio_or_files"] or "audio" in fields:
        return "sound and files"
    if "reasoning" in types:
        return "sealed reasoning"
    if _has_tools(fields, types):
        return f"{api} tools"
    form = fields.get("response_format") or fields.get("text", {}).get("format") or {}
    return "chat format" if form.get("type") == "json_schema" else f"{api} plain"


def _items(fields: dict[str, Any]) -> list[dict[str, Any]]:
    items = fields.get("input", fields.get("messages"))
    return items if isinstance(items, list) else []


_OWN_ITEMS = {"message", "function_call", "function_call_output", "reasoning"}


def _has_hosted(fields: dict[str, Any], types: set[str]) -> bool:
    tools = {tool["type"] for tool in fields.get("tools") or []}
    mode = (fields.get("reasoning") or {}).get("mode")
    return bool(tools - {"function"} or types - _OWN_ITEMS or mode or "web_search_options" in fields)


def _has_tools(fields: dict[str, Any], types: set[str]) -> bool:
    has_calls = any(item.get("tool_calls") for item in _items(fields))
    return bool(fields.get("tools") or fields.get("functions") or has_calls or "function_call" in types)
