"""How answers end, in one vocabulary: every API has words of its own for it."""

from typing import Literal

Ending = Literal["stop", "length", "tool_calls", "content_filter", "other"]

_KNOWN: dict[str, Ending] = {
    "stop": "stop",
    "completed": "stop",
    "length": "length",
    "max_output_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def ending_of(finish_reason: str | None) -> Ending:
    """`finish_reason` as an upstream gave it; `other` for what is not known, or was not said."""
    return _KNOWN.get(finish_reason or "", "other")
