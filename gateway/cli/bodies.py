"""Request bodies from a file: what `gateway count` and `gateway waste` read."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import click
import orjson

from gateway.errors import GatewayError
from gateway.values import Request
from gateway.wire.body import parse_object
from gateway.wire.endpoint import Endpoint
from gateway.wire.endpoints import ENDPOINTS

_MAX_NODES = 100_000_000


def requests_in(file: BinaryIO) -> Iterator[tuple[int, Request]]:
    """Each request with the number of its line; UsageError for what is none.

    A file that is one JSON value as a whole is one request.
    """
    data, name = file.read(), getattr(file, "name", "-")
    try:
        orjson.loads(data)
        lines = [(1, data)]
    except ValueError:
        lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not data.strip():
        raise click.UsageError(f"{name} is empty.")
    for number, line in lines:
        try:
            fields = parse_object(line, max_nodes=_MAX_NODES)
            yield number, _endpoint(fields).parse(line, fields)
        except GatewayError as exc:
            raise click.UsageError(f"{name}, line {number}: {exc.message}") from None


def _endpoint(fields: Mapping[str, Any]) -> Endpoint:
    """Which endpoint a body is meant for, by the field its prompt stands in."""
    by_name = {endpoint.name: endpoint for endpoint in ENDPOINTS}
    if "messages" in fields:
        return by_name["chat"]
    if "prompt" in fields and "input" not in fields:
        return by_name["completions"]
    is_embedding = "embedding" in str(fields.get("model")) or "encoding_format" in fields or "dimensions" in fields
    return by_name["embeddings" if is_embedding else "responses"]
