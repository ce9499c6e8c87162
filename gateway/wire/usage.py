"""Usage objects as upstreams report them → `Usage`.

Anything that is not what OpenAI documents is treated as not reported: a wrong bill is worse than
one marked `estimated`.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.values import NANO, Usage


def chat_usage(usage: object) -> Usage | None:
    """The `usage` of chat completions, completions and embeddings; None when absent or not usable."""
    return _usage(usage, "prompt_tokens", "completion_tokens")


def responses_usage(usage: object) -> Usage | None:
    """The `usage` of the Responses API; None when absent or not usable."""
    return _usage(usage, "input_tokens", "output_tokens")


def _usage(usage: object, read: str, written: str) -> Usage | None:
    """Counts stand under the names `read` and `written`, their parts under the same names with `_details`.

    Some OpenAI-compatible servers (OpenRouter among them) add `cost`, in dollars.
    """
    if not isinstance(usage, Mapping):
        return None
    prompt = _count(usage.get(read))
    completion = _count(usage.get(written, 0))
    if prompt is None or completion is None:
        return None
    return Usage(
        input=prompt,
        output=completion,
        cached_input=min(prompt, _detail(usage, f"{read}_details", "cached_tokens")),
        reasoning=min(completion, _detail(usage, f"{written}_details", "reasoning_tokens")),
        cost_nanousd=_cost(usage.get("cost")),
    )


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return (_count(details.get(name)) or 0) if isinstance(details, Mapping) else 0


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _cost(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    try:
        return int((Decimal(str(value)) * NANO).to_integral_value())
    except (InvalidOperation, OverflowError):
        return None
