"""Usage objects as upstreams report them → `Usage`.

Anything that is not what OpenAI documents is treated as not reported: a wrong bill is worse than
one marked `estimated`.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.values import NANO, Usage

MOST_TOKENS = 10**9
"""Of one request, far beyond any model's: what is more is no count, and would not fit where counts are added up."""
MOST_USD = 1_000_000
_CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens")
"""What is written to the upstream's cache, as OpenRouter and as LiteLLM call it; part of the prompt's tokens there."""
_WORD = re.compile(r"[a-z_]{1,32}")


def chat_usage(answer: Mapping[str, Any]) -> Usage | None:
    """The `usage` of a chat completion, completion or embedding; None when absent or not usable."""
    return _usage(answer, "prompt_tokens", "completion_tokens")


def responses_usage(response: Mapping[str, Any]) -> Usage | None:
    """The `usage` of a response; None when absent or not usable."""
    return _usage(response, "input_tokens", "output_tokens")


def word(value: object) -> str | None:
    """One of an upstream's words (`stop`, `priority`), or None for what is none."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _usage(answer: Mapping[str, Any], read: str, written: str) -> Usage | None:
    """Counts stand under the names `read` and `written`, their parts under the same names with `_details`.

    Some OpenAI-compatible servers (OpenRouter among them) add `cost`, in dollars.
    """
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        return None
    prompt = _count(usage.get(read))
    completion = _count(usage.get(written, 0))
    if prompt is None or completion is None:
        return None
    given, made = _details(usage, f"{read}_details"), _details(usage, f"{written}_details")
    cached = min(prompt, _count(given.get("cached_tokens")) or 0)
    written_to_cache = min(prompt - cached, next(filter(None, (_count(given.get(name)) for name in _CACHE_WRITES)), 0))
    return Usage(
        input=prompt,
        output=completion,
        cached_input=cached,
        reasoning=min(completion, _count(made.get("reasoning_tokens")) or 0),
        cost_nanousd=_cost(usage.get("cost")),
        cache_write=written_to_cache,
        # Sound that was cached is billed as cached: which part of it that was, nobody reports.
        audio_input=min(prompt - cached - written_to_cache, _count(given.get("audio_tokens")) or 0),
        audio_output=min(completion, _count(made.get("audio_tokens")) or 0),
        service_tier=word(answer.get("service_tier")),
    )


def _details(usage: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    details = usage.get(group)
    return details if isinstance(details, Mapping) else {}


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None


def _cost(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_USD:
        return None
    try:
        return int((Decimal(str(value)) * NANO).to_integral_value())
    except (InvalidOperation, OverflowError):
        return None
