"""How long to wait before the same upstream is asked again (pure: time and chance come in as arguments)."""

from email.utils import parsedate_to_datetime

from gateway.exchange import Headers

LONGEST_PAUSE_S = 8.0
"""A client that would have to wait longer is told so instead: it, or its SDK, knows better what its time is worth."""
_MAX_DOUBLINGS = 10


def pause_s(repeats: int, base_s: float, *, asked_s: float | None, chance: float) -> float:
    """Before the try that follows `repeats` others: `base_s`, doubled each time, give or take a half.

    Never less than the `asked_s` of the upstream's Retry-After. `chance` is uniform in [0, 1): without it
    all who failed together would come back together.
    """
    doubled = base_s * (1 << min(repeats, _MAX_DOUBLINGS))
    if asked_s is None:
        return doubled * (0.5 + chance)
    return max(asked_s, doubled / 2) + base_s * chance


def retry_after_s(headers: Headers, *, now: float) -> float | None:
    """What the upstream asks for: `retry-after-ms` as OpenAI and Azure send it, else `Retry-After` (RFC 9110, 10.2.3).

    `now` is Unix time, since Retry-After may be a date. None where there is neither, or nonsense.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    if given is None or (seconds := _number(given)) is not None:
        return None if given is None else seconds
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    """A plain decimal number; neither a sign nor an exponent, and none of what `float` takes besides."""
    if text is None or len(text) > 12 or not text.replace(".", "", 1).isdigit() or not text.isascii():
        return None
    return float(text)
