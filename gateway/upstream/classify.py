"""What the end of a try means: for the metrics, for the breaker, and for whoever may be asked next (pure).

Whether to ask again:

    no connection, no place in line    anywhere   the upstream has nothing of the request
    broken off, broken answer, 5xx     anywhere   no answer came of it, so none is billed
    408, 429                           anywhere   says nothing against the request; 429 for lack of quota: elsewhere
    a time-out after it was sent       nowhere    that answer may yet be made, and billed
    409                                nowhere    a conflict of the caller's own state; asking elsewhere cannot solve it
    425                                nowhere    answers TLS early data, which we never send
    other 4xx                          nowhere    a fault of the request

Only what is the upstream's own fault counts against its health. No 4xx does: a client could shut an
upstream for all others by sending what it refuses, or, with credentials of its own, by using them up.
Nor does our own line being full.
"""

from enum import Enum

from gateway.errors import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnavailable,
)


class Again(Enum):
    NOWHERE = "final"
    ELSEWHERE = "another upstream may be asked"
    ANYWHERE = "the same one too"


_TRANSIENT = frozenset({408, 429})
_NO_QUOTA = b"insufficient_quota"
"""OpenAI's code for an account without money: waiting does not help, another account does."""


def again_after_status(status: int, body: bytes, *, should_retry: str | None = None) -> Again:
    """`should_retry` is the upstream's `x-should-retry` header; `false` speaks for that upstream alone."""
    if status < 500 and status not in _TRANSIENT:
        return Again.NOWHERE
    if should_retry == "false" or (status == 429 and _NO_QUOTA in body):
        return Again.ELSEWHERE
    return Again.ANYWHERE


def again_after_error(error: UpstreamError) -> Again:
    return Again.NOWHERE if isinstance(error, UpstreamTimeout) and error.was_sent else Again.ANYWHERE


def is_fault_status(status: int) -> bool:
    """Does this answer speak against the health of who gave it?"""
    return status >= 500


def is_fault_error(error: UpstreamError) -> bool:
    return not isinstance(error, UpstreamBusy)


def outcome_of_status(status: int) -> str:
    """The metric label of an answer."""
    return "ok" if status < 400 else f"status_{status // 100}xx"


def outcome_of_error(error: UpstreamError) -> str:
    """The metric label of a failure."""
    return _OUTCOMES[type(error)]


_OUTCOMES = {
    UpstreamTimeout: "timeout",
    UpstreamUnavailable: "connect",
    UpstreamBusy: "busy",
    UpstreamInvalid: "invalid",
    UpstreamCut: "cut",
}
