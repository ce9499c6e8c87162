"""W3C Trace Context (https://www.w3.org/TR/trace-context/): where a request stands in somebody's trace. No I/O."""

import re
from typing import NamedTuple

from multidict import CIMultiDict

from gateway.exchange import Headers
from gateway.values import Trace

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
_LONGEST_STATE = 512
"""Characters of tracestate that are passed on: what the specification asks for at least."""
_MOST_MEMBERS = 32
_MEMBER = re.compile(
    r"([a-z][_0-9a-z*/-]{0,255}|[a-z0-9][_0-9a-z*/-]{0,240}@[a-z][_0-9a-z*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class Parent(NamedTuple):
    trace_id: int
    span_id: int
    is_sampled: bool
    state: str


def parent(headers: Headers) -> Parent | None:
    """What the client says; None where it says nothing, or nothing that is valid."""
    given = headers.get("traceparent")
    if given is None:
        return None
    found = _TRACEPARENT.fullmatch(given.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    is_sampled = bool(int(found[4], 16) & _SAMPLED)
    return Parent(trace_id, span_id, is_sampled, _state(",".join(headers.getall("tracestate", []))))


def _state(given: str) -> str:
    """What is valid of a whole, else nothing: OpenTelemetry logs the text of one that is not."""
    if not given or len(given) > _LONGEST_STATE:
        return ""
    members = [member for each in given.split(",") if (member := each.strip(" \t"))]
    keys = {found[1] for member in members if (found := _MEMBER.fullmatch(member))}
    return ",".join(members) if len(keys) == len(members) <= _MOST_MEMBERS else ""


def traced(headers: CIMultiDict[str], trace: Trace) -> CIMultiDict[str]:
    """`headers` with the call of `trace` as the parent of whatever the upstream does."""
    own = headers.copy()
    own["traceparent"] = f"00-{trace.trace_id:032x}-{trace.call_id:016x}-01"
    own.popall("tracestate", None)
    if trace.state:
        own["tracestate"] = trace.state
    return own
