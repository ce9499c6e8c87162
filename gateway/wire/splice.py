"""Changing top-level fields of a JSON object without touching any other byte.

A client's body reaches the upstream as it was written: unknown fields, number formats, key order
and escapes survive, because it is never serialised again. The changed values alone are new bytes.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_PLAIN_VALUE = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*("[^"\\]*"|[0-9a-z.+-]+)')
"""A colon and what mostly follows it: a string without escapes, a number or a word."""
_SCALAR = re.compile(rb"[^,\]}\s]+")
_NESTING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)


class Member(NamedTuple):
    """One `"key": value` of the outermost object; `start` and `end` delimit the value's bytes."""

    key: str
    start: int
    end: int


def members(body: bytes) -> list[Member]:
    """Every top-level member in order, repeated keys included. `body` must be a valid JSON object."""
    found = []
    at = _skip_space(body, _skip_space(body, 0) + 1)
    while body[at : at + 1] == b'"':
        key_end = _string_end(body, at)
        start = _value_start(body, key_end)
        end = _value_end(body, start)
        found.append(Member(orjson.loads(body[at:key_end]), start, end))
        at = _skip_space(body, end)
        if body[at : at + 1] != b",":
            break
        at = _skip_space(body, at + 1)
    return found


def elements(body: bytes, start: int) -> list[tuple[int, int]]:
    """Where each element of the array at byte `start` begins and ends. `body` must be valid JSON."""
    found = []
    at = _skip_space(body, start + 1)
    while body[at : at + 1] != b"]":
        end = _value_end(body, at)
        found.append((at, end))
        at = _skip_space(body, end)
        if body[at : at + 1] == b",":
            at = _skip_space(body, at + 1)
    return found


def splice(body: bytes, fields: Mapping[str, Any], edits: Mapping[str, Any]) -> bytes:
    """`body` with each field of `edits` set to its new value; a field that was absent is appended.

    `fields` is `body` parsed: a non-empty JSON object without repeats of the edited keys.
    """
    replaced = []
    appended = b""
    for key, value in edits.items():
        raw = orjson.dumps(value)
        if key in fields:
            replaced.append((*_find(body, key), raw))
        else:
            appended += b",%b:%b" % (orjson.dumps(key), raw)
    if appended:
        last = body.rindex(b"}")
        replaced.append((last, last, appended))
    replaced.sort()
    pieces: list[bytes] = []
    done = 0
    for start, end, raw in replaced:
        pieces += (body[done:start], raw)
        done = end
    pieces.append(body[done:])
    return b"".join(pieces)


def _find(body: bytes, key: str) -> tuple[int, int]:
    """Where the value of the top-level member `key`, which is known to be there, starts and ends.

    Unless it is spelled with escapes, its quoted name stands in the bytes; if that stands there
    only once (as no other key and no string value), it is the member, and no scan is needed.
    """
    quoted = b'"%b"' % key.encode()
    if body.count(quoted) == 1 and b"\\u00" not in body:
        after = body.index(quoted) + len(quoted)
        plain = _PLAIN_VALUE.match(body, after)
        if plain is not None:
            return plain.span(1)
        start = _value_start(body, after)
        return start, _value_end(body, start)
    member = next(member for member in members(body) if member.key == key)
    return member.start, member.end


def _skip_space(body: bytes, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at


def _string_end(body: bytes, at: int) -> int:
    match = _STRING.match(body, at)
    if match is None:
        raise ValueError(f"no JSON string at byte {at}")
    return match.end()


def _value_start(body: bytes, key_end: int) -> int:
    return _skip_space(body, _skip_space(body, key_end) + 1)  # over the colon


def _value_end(body: bytes, start: int) -> int:
    """The byte after the value that begins at `start`."""
    first = body[start : start + 1]
    if first == b'"':
        return _string_end(body, start)
    if first not in (b"{", b"["):
        match = _SCALAR.match(body, start)
        if match is None:
            raise ValueError(f"no JSON value at byte {start}")
        return match.end()
    depth = 0
    for match in _NESTING.finditer(body, start):
        token = match.group()
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return match.end()
    raise ValueError(f"unbalanced JSON value at byte {start}")
