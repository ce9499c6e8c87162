"""A request with some of its messages changed or left out, and every other byte as it was sent."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import orjson

from gateway.values import Request
from gateway.wire.splice import elements, members, splice

LISTS = {"chat": "messages", "responses": "input"}
"""Where each endpoint has its messages."""


def messages_of(request: Request) -> list[Mapping[str, Any]]:
    """The messages (or items), if they are a list of objects; else none."""
    value = request.fields.get(LISTS[request.endpoint]) if request.endpoint in LISTS else None
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else []


def rewritten(
    request: Request, *, dropped: Collection[int] = (), changed: Mapping[int, Mapping[str, Any]] | None = None
) -> Request:
    """`request` without the messages `dropped`, and with the fields in `changed` set, by message.

    Body and fields are replaced together, so that whoever reads either sees the same request.
    """
    name = LISTS[request.endpoint]
    kept_values, kept_bytes = [], []
    start = next(member.start for member in members(request.body) if member.key == name)
    for index, (begin, end) in enumerate(elements(request.body, start)):
        if index in dropped:
            continue
        message, raw = request.fields[name][index], request.body[begin:end]
        edits = (changed or {}).get(index)
        kept_values.append(message if edits is None else {**message, **edits})
        kept_bytes.append(raw if edits is None else splice(raw, message, edits))
    raw_list = orjson.Fragment(b"[" + b",".join(kept_bytes) + b"]")
    body = splice(request.body, request.fields, {name: raw_list})
    return replace(request, body=body, fields={**request.fields, name: kept_values}, derived={})
