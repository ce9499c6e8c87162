"""The arithmetic of rates and calendar periods, in integers, so that nothing is ever a little too much.

A rate limit is a leaky bucket: each request or token fills it by `TICKS`, and a limit of R a minute
drains R ticks a millisecond. It holds one minute's worth. This is GCRA in its other form (ITU-T
I.371, annex A: the continuous-state leaky bucket and the virtual scheduling algorithm decide alike);
it is used because, unlike a theoretical arrival time, level and time stay whole numbers for every R.

`shared.lua` does the same inside Redis; both are held to one model by the tests. Times are Unix
milliseconds of whoever keeps the state.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from gateway.values import Standing

Per = Literal["hour", "day", "month", "total"]

TICKS = 60_000
"""What one request or token adds to its bucket: a minute, in milliseconds."""


class Bucket(NamedTuple):
    """`level` ticks at `at_ms`; a level above capacity is a debt, left by who used more than was reserved."""

    level: int = 0
    at_ms: int = 0


def level_at(bucket: Bucket, now_ms: int, *, per_minute: int) -> int:
    """The level now. A clock that was set back drains nothing, and time goes on from where it is."""
    return max(0, bucket.level - max(0, now_ms - bucket.at_ms) * per_minute)


def has_room(level: int, amount: int, *, per_minute: int) -> bool:
    """Whether `amount` requests or tokens fit. What takes nothing always fits, whatever others have done."""
    return amount == 0 or level + amount * TICKS <= per_minute * TICKS


def wait_s(level: int, amount: int, *, per_minute: int) -> float | None:
    """Seconds until `amount` fits if nobody else takes any, to the millisecond; None where it never will."""
    if amount > per_minute:
        return None
    excess = level + (amount - per_minute) * TICKS
    return -(-max(0, excess) // per_minute) / 1000


def standing_of(level: int, *, per_minute: int) -> Standing:
    """What a client is told of its limit."""
    remaining = max(0, per_minute * TICKS - level) // TICKS
    return Standing(per_minute, remaining, reset_s=-(-level // per_minute) / 1000)


# ------------------------------------------------------------------ periods


def counter_name(account: str, per: Per, now_ms: int) -> str:
    """The account's counter in the present period: `key:bot:usd:day` → `key:bot:usd:day:2026-11-22`."""
    return f"{account}:{_label(per, now_ms // _HOUR_MS)}"


_HOUR_MS = 3_600_000
_LABELS: dict[Per, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m", "total": "total"}


@lru_cache(maxsize=64)  # asked for by every request, and the same for an hour
def _label(per: Per, hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600, UTC).strftime(_LABELS[per])


def began_ms(per: Per, now_ms: int) -> int:
    """When the present period of the calendar (UTC) began; 0 for `total`."""
    now = datetime.fromtimestamp(now_ms // 1000, UTC).replace(minute=0, second=0, microsecond=0)
    match per:
        case "hour":
            began = now
        case "day":
            began = now.replace(hour=0)
        case "month":
            began = now.replace(day=1, hour=0)
        case "total":
            return 0
    return int(began.timestamp()) * 1000


def resets_at(per: Per, now_ms: int) -> datetime | None:
    """When the present period of the calendar (UTC) ends; None where it never does."""
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    match per:
        case "hour":
            return hour + timedelta(hours=1)
        case "day":
            return hour.replace(hour=0) + timedelta(days=1)
        case "month":
            return (hour.replace(day=1, hour=0) + timedelta(days=32)).replace(day=1)
        case "total":
            return None
