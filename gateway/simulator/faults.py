"""Trouble on request: what the `x-simulate` header of a request (or its `metadata.simulate`) asks for.

    x-simulate: delay=0.5; cut=3

Everything is bounded, so that a request cannot hold the simulator for longer than `MAX_SECONDS`.
"""

from dataclasses import dataclass, fields

from gateway.simulator.errors import ApiError

MAX_SECONDS = 60.0
MAX_EVENTS = 100_000
MAX_TOKENS = 16_384


@dataclass(frozen=True, slots=True)
class Faults:
    """What to do otherwise than a healthy server would; None and False change nothing.

    Events are counted from 0, the first one a stream sends. Answers that are not streamed have no
    events: `cut` then stops in the middle of the body, `stall` right after the head, and `error` is a 500.
    """

    status: int | None = None
    """Answer with this status, 400 to 599, and a fitting error object."""
    retry_after: float | None = None
    """Seconds, as a header of that answer."""
    delay: float = 0.0
    """Seconds of silence before the answer begins."""
    reset: bool = False
    """Close the connection without an answer."""
    cut: int | None = None
    """Close the connection after so many events."""
    stall: int | None = None
    """Fall silent after so many events, until the client leaves or MAX_SECONDS have passed."""
    error: int | None = None
    """After so many events send an error event, and end."""
    no_usage: bool = False
    """Report no usage, as some OpenAI-compatible servers do."""
    cached: int = 0
    """Report so many prompt tokens as cached."""
    reasoning: int = 0
    """Begin with so many reasoning tokens, which count against the completion limit."""
    tokens: int | None = None
    """Make the text exactly so many tokens long."""


NO_FAULTS = Faults()

_BOUNDS: dict[str, tuple[float, float]] = {
    "status": (400, 599),
    "retry_after": (0, 86_400),
    "delay": (0, MAX_SECONDS),
    "cut": (0, MAX_EVENTS),
    "stall": (0, MAX_EVENTS),
    "error": (0, MAX_EVENTS),
    "cached": (0, 1_000_000_000),
    "reasoning": (0, MAX_TOKENS),
    "tokens": (1, MAX_TOKENS),
}
_FLAGS = frozenset({"reset", "no_usage"})
_SECONDS = frozenset({"delay", "retry_after"})


def parse(text: str) -> Faults:
    """`status=503; retry-after=1` → Faults; a 400 that lists what there is when `text` is not understood."""
    found: dict[str, float | int | bool] = {}
    for item in filter(None, map(str.strip, text.split(";"))):
        name, equals, value = (part.strip() for part in item.partition("="))
        field = name.lower().replace("-", "_")
        if field in _FLAGS and not equals:
            found[field] = True
        elif field in _BOUNDS:
            found[field] = _number(field, value)
        else:
            raise _unknown(item)
    return Faults(**found)  # type: ignore[arg-type]  # each value was read by its field's own rule


def _number(field: str, text: str) -> float | int:
    low, high = _BOUNDS[field]
    try:
        value = float(text) if field in _SECONDS else int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ApiError(f"x-simulate: expected {_spelling(field)}={low:g}..{high:g}, got '{text}'.", param="x-simulate")
    return value


def _unknown(item: str) -> ApiError:
    known = ", ".join(_spelling(field.name) + ("" if field.name in _FLAGS else "=N") for field in fields(Faults))
    return ApiError(f"x-simulate: '{item}' is not one of {known}.", param="x-simulate")


def _spelling(field: str) -> str:
    return field.replace("_", "-")


_STATUS_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "Simulated: this request is invalid."),
    401: ("invalid_request_error", "invalid_api_key", "Simulated: incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Simulated: not allowed."),
    404: ("invalid_request_error", "model_not_found", "Simulated: the model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Simulated: rate limit reached for requests."),
    500: ("server_error", None, "Simulated: the server had an error while processing your request."),
    503: ("server_error", None, "Simulated: the engine is currently overloaded, please try again later."),
}


def status_error(faults: Faults) -> ApiError | None:
    """The error that `faults.status` asks for."""
    if faults.status is None:
        return None
    default = ("server_error" if faults.status >= 500 else "invalid_request_error", None, "Simulated: an error.")
    kind, code, message = _STATUS_ERRORS.get(faults.status, default)
    headers = {} if faults.retry_after is None else {"Retry-After": f"{faults.retry_after:g}"}
    return ApiError(message, status=faults.status, kind=kind, code=code, headers=headers)


def stream_error() -> ApiError:
    """What the error event of a broken stream says."""
    return ApiError("Simulated: the server had an error while streaming.", status=500, kind="server_error")
