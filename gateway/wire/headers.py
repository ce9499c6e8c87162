"""Which headers cross the gateway, in which direction, and what it says in its own.

Towards the upstream nothing may steer or identify what belongs to the operator (credentials,
organisation, cookies, addresses); towards the client nothing may reveal or outlive the upstream
connection (cookies, alternative services, its framing).
"""

import os
import re

from multidict import CIMultiDict

from gateway.exchange import Headers
from gateway.record import Record
from gateway.values import NANO

Pairs = list[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110, 7.6.1, with the older `keep-alive` and `proxy-connection`."""

_NOT_UPSTREAM = _HOP_BY_HOP | {
    "host",
    "content-length",
    "expect",
    "accept-encoding",
    "authorization",
    "api-key",
    "x-api-key",
    "cookie",
    "forwarded",
    "via",
    "x-real-ip",
    "x-request-id",
    "cache-control",
    "openai-organization",
    "openai-project",
}
_NOT_UPSTREAM_PREFIXES = ("x-gateway-", "x-forwarded-")
_CALLERS_OWN = frozenset({"authorization", "openai-organization", "openai-project"})
"""Sent on only under `auth: passthrough`, where the credentials are the client's."""

_NOT_CLIENT = _HOP_BY_HOP | {
    "content-length",
    "content-encoding",
    "date",
    "server",
    "set-cookie",
    "alt-svc",
    "strict-transport-security",
    "x-request-id",
    "server-timing",
    "cache-status",
    "age",
}
_NOT_CLIENT_PREFIXES = ("x-gateway-", "access-control-")

_NOT_IN_A_LINE = re.compile(r"[^\x20-\x7e]")
_SANE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def request_id(headers: Headers) -> str:
    """The client's own `x-request-id` if it is sane (it ends up in logs), else a new one."""
    given = headers.get("x-request-id")
    if given is not None and is_request_id(given):
        return given
    return f"req_{os.urandom(12).hex()}"


def is_request_id(text: str) -> bool:
    """Whether it may be one that `request_id` gave."""
    return _SANE_ID.fullmatch(text) is not None


def to_upstream(headers: Headers, *, own_credentials: bool, keep: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """The client's headers that go on; its credentials too if they are its `own_credentials` for the upstream."""
    kept = keep | _CALLERS_OWN if own_credentials else keep
    named = _connection_tokens(headers)
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (lower := name.lower()) in kept
        or not (lower in _NOT_UPSTREAM or lower in named or lower.startswith(_NOT_UPSTREAM_PREFIXES))
    )


def to_upstream_as_ours(headers: Headers) -> CIMultiDict[str]:
    """`to_upstream` for all whose requests go on with the operator's credentials."""
    return to_upstream(headers, own_credentials=False)


def to_client(headers: Headers, *, keep: frozenset[str] = frozenset(), are_limits_ours: bool = False) -> Pairs:
    """The upstream's headers that reach the client; its request id under `x-upstream-request-id`.

    Where a rate limit of ours applies, the upstream's own are called `x-upstream-ratelimit-…`.
    """
    named = _connection_tokens(headers)
    pairs = [
        (name, value)
        for name, value in headers.items()
        if (lower := name.lower()) in keep
        or not (lower in _NOT_CLIENT or lower in named or lower.startswith(_NOT_CLIENT_PREFIXES))
    ]
    if are_limits_ours:
        pairs = [(re.sub("^x-ratelimit-", "x-upstream-ratelimit-", name, flags=re.IGNORECASE), v) for name, v in pairs]
    upstream_id = headers.get("x-request-id")
    if upstream_id is not None:
        pairs.append(("x-upstream-request-id", upstream_id))
    return pairs


def from_record(record: Record) -> Pairs:
    """Our own headers, all of them read off the record, at the moment the answer's first byte leaves."""
    pairs = [("x-request-id", record.request_id)]
    if record.route is not None:
        pairs.append(("x-gateway-route", record.route))
    if record.prompt is not None:
        pairs.append(("x-gateway-prompt", f"{record.prompt}@{record.prompt_version}"))
        if record.prompt_warnings:
            pairs.append(("x-gateway-prompt-warnings", ", ".join(record.prompt_warnings)))
    if record.decision is not None and record.decision.tier != "none":
        pairs.append(("x-gateway-tier", record.decision.tier))
    if record.target is not None:
        pairs.append(("x-gateway-model", one_line(record.target.printable)))
    if record.estimate is not None:
        pairs.append(("x-gateway-prompt-tokens", str(record.estimate.prompt_tokens)))
    if record.dropped_messages:
        pairs.append(("x-gateway-dropped-messages", str(record.dropped_messages)))
    if not record.is_stream and record.usage is not None and not record.price_unknown:
        pairs.append(("x-gateway-cost-usd", usd(record.cost.nanousd if record.cost else 0)))
    for kind, standing in record.standing.items():
        pairs.append((f"x-ratelimit-limit-{kind}", str(standing.limit)))
        pairs.append((f"x-ratelimit-remaining-{kind}", str(standing.remaining)))
        pairs.append((f"x-ratelimit-reset-{kind}", _duration(standing.reset_s)))
    total_ms, upstream_ms = (record.first_byte_s or 0.0) * 1000, record.upstream_s * 1000
    pairs.append(("Server-Timing", f"total;dur={total_ms:.1f}, upstream;dur={upstream_ms:.1f}"))
    return pairs


def _duration(seconds: float) -> str:
    """As OpenAI spells it in its rate limit headers: `20ms`, `8.64s`, `6m0s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:.2f}".rstrip("0").rstrip(".") + "s"


def usd(nanousd: int) -> str:
    """Nano-dollars as a plain decimal number of dollars, exact: `0.000005400`."""
    return f"{nanousd // NANO}.{nanousd % NANO:09d}"


def _connection_tokens(headers: Headers) -> frozenset[str]:
    """Header names that `Connection` lists: they are for one hop only."""
    if "connection" not in headers:
        return frozenset()
    return frozenset(
        token.strip().lower() for value in headers.getall("connection") for token in value.split(",") if token.strip()
    )


def one_line(value: str) -> str:
    """A client names models; what it names must not become a header of its own."""
    if value.isascii() and value.isprintable():
        return value
    return _NOT_IN_A_LINE.sub("?", value)
