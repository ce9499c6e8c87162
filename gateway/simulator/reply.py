"""What an endpoint hands to the server: a whole answer or the events of a stream, and how long they would take."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from gateway.simulator.answers import Choice
from gateway.simulator.faults import Faults

FINGERPRINT = "fp_simulated"
Json = dict[str, Any]


class Event(NamedTuple):
    """One event of a stream; `tokens` is how much of the model's time it takes."""

    data: bytes
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """Exactly one of `body` and `events`."""

    tokens: int
    """Generated in all, for the pace of an answer that is not streamed."""
    body: Mapping[str, Any] | None = None
    events: Sequence[Event] | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every part of one answer repeats."""

    id: str
    created: int
    model: str

    @classmethod
    def new(cls, prefix: str, model: str) -> "Stamp":
        return cls(prefix + secrets.token_hex(14), int(time.time()), model)

    def chunk(self, kind: str, choices: list[Json], **more: Any) -> Json:
        """The envelope that chat and completions answers share, streamed or not; `kind` is its `object`."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "system_fingerprint": FINGERPRINT,
            **more,
        }


def sse(value: Json) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


DONE = Event(b"data: [DONE]\n\n", tokens=0)


def usage(prompt_tokens: int, choices: Sequence[Choice], faults: Faults) -> Json | None:
    """The `usage` of chat and completions; None where the request wants none reported."""
    if faults.no_usage:
        return None
    completion_tokens = sum(choice.tokens for choice in choices)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": min(faults.cached, prompt_tokens), "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(choice.reasoning for choice in choices),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def with_usage(chunks: Sequence[tuple[Json, int]], final: Json, tokens: Json | None) -> list[tuple[Json, int]]:
    """As `stream_options.include_usage` wants it: `usage: null` on every chunk, then `final` with the figures."""
    if tokens is None:
        return list(chunks)
    return [*(({**chunk, "usage": None}, cost) for chunk, cost in chunks), ({**final, "usage": tokens}, 0)]
