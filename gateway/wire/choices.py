"""What the answers of chat completions and of legacy completions have in common: a list of choices."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.values import Usage
from gateway.wire import json_bytes, sse
from gateway.wire.usage import word

_SAME_IN_EVERY_CHUNK = ("id", "object", "created", "model", "service_tier", "system_fingerprint")


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


def first_finish_reason(answer: Mapping[str, Any]) -> str | None:
    return next((word(choice.get("finish_reason")) for choice in choices_of(answer)), None)


def is_usage_chunk(event: Mapping[str, Any]) -> bool:
    """The chunk of a stream that `stream_options.include_usage` adds: usage and no choice."""
    return event.get("choices") == [] and event.get("usage") is not None


def announces(event: Mapping[str, Any]) -> bool:
    """Whether a chunk holds nothing that was generated, nor an end: a role at most, as the first one mostly does."""
    choices = event.get("choices")
    return isinstance(choices, list) and not is_usage_chunk(event) and all(map(_is_unbegun, choices))


def _is_unbegun(choice: object) -> bool:
    if not isinstance(choice, dict) or choice.get("finish_reason") or choice.get("text") or choice.get("message"):
        return False
    delta = choice.get("delta") or {}
    return isinstance(delta, dict) and not any(value for key, value in delta.items() if key != "role")


def cut_choices(
    events: Sequence[Mapping[str, Any]], empty: Mapping[str, Any], *, choices: int, usage: Usage | None
) -> bytes:
    """The end of a stream of which `events` have come: each of its `choices` that is not over ends with `length`.

    `empty` is a choice of a chunk that adds nothing.
    """
    frame = {key: event[key] for event in events[-1:] for key in _SAME_IN_EVERY_CHUNK if key in event}
    parts = [part for event in events for part in choices_of(event)]
    over = {index_of(part) for part in parts if part.get("finish_reason")}
    chunks: list[dict[str, Any]] = [
        {**frame, "choices": [{"index": index, **empty, "finish_reason": "length"}]}
        for index in range(max(choices, 1))
        if index not in over
    ]
    if usage is not None:
        chunks.append({**frame, "choices": [], "usage": _as_reported(usage)})
    return b"".join([*(sse.encode(json_bytes.dumps(chunk)) for chunk in chunks), sse.DONE])


def _as_reported(usage: Usage) -> dict[str, int]:
    total = usage.input + usage.output
    return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": total}
