"""A finished `Record` → its rows in the ledger. Names, numbers and words of closed sets; never text of a prompt.

Made one at a time as requests end, some 3 µs each: a batch of them made in another thread would hold the
interpreter while requests wait. The columns are those of `tables.py`, which serving processes
do not load; a test compares them.
"""

from typing import Any

from gateway.record import Record

Row = tuple[Any, ...]

COLUMNS = (
    *("at_ms", "writer", "seq", "request_id", "endpoint", "route", "key_name", "team", "tier", "reason", "probability"),
    *("target", "compare_with", "is_stream", "status", "is_success", "is_lost", "rejected", "error", "finish_reason"),
    *("cache", "cache_detail", "cache_key", "attempts", "counted_tokens", "dropped_tokens", "trimmed_tokens"),
    *("input_tokens", "cached_input_tokens", "cache_write_tokens", "audio_input_tokens"),
    *("output_tokens", "reasoning_tokens", "audio_output_tokens", "service_tier", "is_estimated"),
    *("cost_nanousd", "cost_source", "price_unknown"),
    *("saved_cache_nanousd", "saved_coalesced_nanousd", "saved_tier_nanousd", "saved_trim_nanousd"),
    *("duration_us", "upstream_us", "first_byte_us"),
    *("prompt", "prompt_version", "prompt_label"),
)
ATTEMPT_COLUMNS = ("at_ms", "writer", "seq", "number", "target", "outcome", "duration_us")

_HALF = 1 << 63


def row_of(record: Record, writer: int, seq: int) -> Row:
    """The request's row, in the order of `COLUMNS`."""
    caller, decision, estimate = record.caller, record.decision, record.estimate
    usage, cost, saved = record.usage, record.cost, record.saved_nanousd
    first_byte_s = record.first_byte_s
    return (
        int(record.started_at * 1000),
        writer,
        seq,
        record.request_id,
        record.endpoint,
        record.route,
        caller.name if caller else None,
        caller.team if caller else None,
        *((decision.tier, decision.reason, decision.probability) if decision else (None, None, None)),
        record.target.printable if record.target else None,
        decision.compare_with.printable if decision and decision.compare_with else None,
        record.is_stream,
        record.status,
        record.is_success,
        False,
        record.rejected,
        record.error,
        record.finish_reason,
        record.cache,
        record.cache_detail,
        short_hash(record.cache_key) if record.cache_key else None,
        len(record.attempts),
        estimate.prompt_tokens if estimate else None,
        record.dropped_tokens,
        record.trimmed_tokens,
        *(
            (
                usage.input,
                usage.cached_input,
                usage.cache_write,
                usage.audio_input,
                usage.output,
                usage.reasoning,
                usage.audio_output,
                usage.service_tier,
                not record.is_usage_reported and record.cache not in ("hit", "coalesced"),
            )
            if usage
            else _NO_USAGE
        ),
        cost.nanousd if cost else None,
        cost.source if cost else None,
        record.price_unknown,
        *(
            (
                saved.get("cache", 0) + saved.get("semantic", 0),
                saved.get("coalesced", 0),
                saved.get("tier", 0),
                saved.get("trim", 0),
            )
            if saved
            else _NOTHING_SAVED
        ),
        int(record.duration_s * 1_000_000),
        int(record.upstream_s * 1_000_000),
        None if first_byte_s is None else int(first_byte_s * 1_000_000),
        record.prompt,
        record.prompt_version or None,
        record.prompt_label,
    )


_NO_USAGE = (None,) * 8 + (False,)
_NOTHING_SAVED = (0, 0, 0, 0)


def attempts_of(record: Record, writer: int, seq: int) -> list[Row]:
    """A row for every try, in the order of `ATTEMPT_COLUMNS`."""
    at_ms = int(record.started_at * 1000)
    return [
        (at_ms, writer, seq, number, attempt.target.printable, attempt.outcome, int(attempt.duration_s * 1_000_000))
        for number, attempt in enumerate(record.attempts, 1)
    ]


def lost_row(requests: int, nanousd: int, *, at_ms: int, writer: int, seq: int) -> Row:
    """Reservations that ended with their process: what their budgets were charged in its stead."""
    known: dict[str, Any] = {
        **dict.fromkeys(COLUMNS, None),
        **{name: 0 for name in COLUMNS if name.startswith("saved_")},
        "at_ms": at_ms,
        "writer": writer,
        "seq": seq,
        "request_id": "",
        "endpoint": "lost",
        "is_lost": True,
        "is_stream": False,
        "status": 0,
        "is_success": False,
        "attempts": requests,
        "price_unknown": False,
        "dropped_tokens": 0,
        "trimmed_tokens": 0,
        "duration_us": 0,
        "upstream_us": 0,
        "is_estimated": True,
        "cost_nanousd": nanousd,
        "cost_source": "estimated",
    }
    return tuple(known[name] for name in COLUMNS)


def short_hash(key: str) -> int:
    """64 bits of a cache key's hash, as a signed integer: enough to tell requests apart."""
    return int(key[-16:], 16) - _HALF
