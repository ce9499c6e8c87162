"""What the answers of chat completions and of legacy completions have in common: a list of choices."""

from collections.abc import Iterator, Mapping
from typing import Any


def choices_of(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The choices of a whole answer or of a chunk, as far as they can be read."""
    choices = answer.get("choices")
    return (choice for choice in (choices if isinstance(choices, list) else ()) if isinstance(choice, dict))


def index_of(choice: Mapping[str, Any], otherwise: int = 0) -> int:
    """Which of several choices this is, or continues."""
    index = choice.get("index")
    return index if isinstance(index, int) else otherwise


def all_finished(answer: Mapping[str, Any]) -> bool:
    """Whether there are choices and every one of them came to a finish reason."""
    reasons = [choice.get("finish_reason") for choice in choices_of(answer)]
    return bool(reasons) and all(reasons)


def is_usage_chunk(event: Mapping[str, Any]) -> bool:
    """The chunk of a stream that `stream_options.include_usage` adds: usage and no choice."""
    return event.get("choices") == [] and event.get("usage") is not None
