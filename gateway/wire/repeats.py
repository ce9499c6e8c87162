"""Keys that stand twice in one JSON object: parsers disagree on which of the two counts.

We would count, cap and cache by one of them while the upstream answers to the other, so a request
that repeats a key we read is refused. Nearly all requests are cleared by a proof over the bytes,
some ten times cheaper than parsing them again.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.errors import BadRequest
from gateway.wire import json_bytes
from gateway.wire.body import MAX_DEPTH_MESSAGE
from gateway.wire.splice import members

_LOOK_BYTES = 65_536
"""Finding out where a key stands twice takes up to 20 ms in this much; in more it is not looked for."""


def refuse_repeats(
    body: bytes, fields: Mapping[str, Any], keys: tuple[str, ...], *, written: bytes | None = None
) -> None:
    """BadRequest if one of `keys` stands twice at the top level of `body`, or any key twice in an object below one.

    `fields` is `body` parsed, and `written` that `as_written`, if it has been already. What stands below other keys is
    nobody's business but the upstream's.
    """
    if _has_no_repeats(body, as_written(fields) if written is None else written):
        return
    if len(body) > _LOOK_BYTES:
        raise BadRequest("A key stands more than once in one object of the request body.")
    seen = set()
    for member in members(body):
        if member.key not in keys:
            continue
        if member.key in seen:
            raise BadRequest(f"'{member.key}' stands more than once in the request body.", param=member.key)
        seen.add(member.key)
        key = _repeated_below(body[member.start : member.end])
        if key is not None:
            message = f"'{key[:100]}' stands more than once in one object of '{member.key}'."
            raise BadRequest(message, param=member.key)


def as_written(fields: Mapping[str, Any]) -> bytes:
    """A parsed body written again, compactly."""
    try:
        return json_bytes.dumps(fields)
    except RecursionError:
        raise BadRequest(MAX_DEPTH_MESSAGE) from None


def _has_no_repeats(body: bytes, text: bytes) -> bool:
    return text == body or quotes(body) == text.count(b'"')


def quotes(body: bytes) -> int:
    """How many quotes a parser's own text of `body` has if it lost nothing, and fewer if it did.

    A member that stands twice is parsed as its last value. Every string has as many quotes in `body`
    as in a text written from it, where none is spelled `\\u0022`, so a lost member shows as a surplus.
    """
    return body.count(b'"') + (body.count(rb"\u0022") if b"\\" in body else 0)


class _Repeated(Exception):
    """Leaves the parser at once, with the key."""


def _repeated_below(value: bytes) -> str | None:
    try:
        json.loads(value.decode(), object_pairs_hook=_refuse)
    except _Repeated as found:
        return str(found)
    return None


def _refuse(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _Repeated(key)
        seen.add(key)
