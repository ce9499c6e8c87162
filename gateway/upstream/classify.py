"""May another target be asked after this outcome? (pure)"""

from gateway.errors import UpstreamError, UpstreamTimeout

_WORTH_ANOTHER = frozenset({408, 429, 500, 502, 503, 504, 529})
"""What says nothing against the request itself; 529 is what some providers send when overloaded."""


def may_fall_back_on_error(error: UpstreamError) -> bool:
    """Anything but a time-out after the request was sent: that answer may still be made, and billed."""
    return not (isinstance(error, UpstreamTimeout) and error.was_sent)


def may_fall_back_on_status(status: int) -> bool:
    return status in _WORTH_ANOTHER


def outcome_of_status(status: int) -> str:
    """The metric label of an answer."""
    return "ok" if status < 400 else f"status_{status // 100}xx"


def outcome_of_error(error: UpstreamError) -> str:
    """The metric label of a failure."""
    return _OUTCOMES.get(type(error).__name__, "cut")


_OUTCOMES = {"UpstreamTimeout": "timeout", "UpstreamUnavailable": "connect", "UpstreamCut": "cut"}
