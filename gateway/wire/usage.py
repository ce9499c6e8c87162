"""Usage objects as upstreams report them → `Usage`.

Anything that is not what OpenAI documents is treated as not reported: a wrong bill is worse than
one marked `estimated`.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from gateway.values import NANO, Usage

MOST_TOKENS = 10**9
"""Of one request, far beyond any model's: what is more is no count, and would not fit where counts are added up."""
MOST_USD = 1_000_000
_CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens")
"""What is written to the upstream's cache, as OpenRouter and as LiteLLM call it; part of the prompt's tokens there."""
_WORD = re.compile(r"[a-z_]{1,32}")


class _Names(NamedTuple):
    """How an API calls its counts."""

    read: str
    written: str
    read_details: str
    written_details: str


_CHAT = _Names("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
_RESPONSES = _Names("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")


def chat_usage(answer: Mapping[str, Any]) -> Usage | None:
    """The `usage` of a chat completion, completion or embedding; None when absent or not usable."""
    return _usage(answer, _CHAT)


def responses_usage(response: Mapping[str, Any]) -> Usage | None:
    """The `usage` of a response; None when absent or not usable."""
    return _usage(response, _RESPONSES)


def word(value: object) -> str | None:
    """One of an upstream's words (`stop`, `priority`), or None for what is none."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _usage(answer: Mapping[str, Any], names: _Names) -> Usage | None:
    """Some OpenAI-compatible servers (OpenRouter among them) add `cost`, in dollars."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get(names.read)), _count(usage.get(names.written, 0))
    if prompt is None or completion is None:
        return None
    cached = written_to_cache = audio_input = reasoning = audio_output = 0
    if isinstance(given := usage.get(names.read_details), dict):
        cached = min(prompt, _count(given.get("cached_tokens")) or 0)
        written_to_cache = min(prompt - cached, _first_count(given, _CACHE_WRITES))
        # Sound that was cached is billed as cached: which part of it that was, nobody reports.
        audio_input = min(prompt - cached - written_to_cache, _count(given.get("audio_tokens")) or 0)
    if isinstance(made := usage.get(names.written_details), dict):
        reasoning = min(completion, _count(made.get("reasoning_tokens")) or 0)
        audio_output = min(completion, _count(made.get("audio_tokens")) or 0)
    return Usage(
        input=prompt,
        output=completion,
        cached_input=cached,
        reasoning=reasoning,
        cost_nanousd=_cost(usage.get("cost")),
        cache_write=written_to_cache,
        audio_input=audio_input,
        audio_output=audio_output,
        service_tier=word(answer.get("service_tier")),
    )


def _first_count(details: Mapping[str, Any], names: Iterable[str]) -> int:
    """The first that is there and not 0."""
    for name in names:
        if count := _count(details.get(name)):
            return count
    return 0


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None


def _cost(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_USD:
        return None
    try:
        return int((Decimal(str(value)) * NANO).to_integral_value())
    except (InvalidOperation, OverflowError):
        return None
