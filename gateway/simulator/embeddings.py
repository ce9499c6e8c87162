"""`POST /v1/embeddings`: https://platform.openai.com/docs/api-reference/embeddings.

The vectors are made by feature hashing: texts that share words lie near each other, which is as
much meaning as a simulation can offer.
"""

import base64
import math
import re
from array import array
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from gateway.simulator import checks
from gateway.simulator.answers import random_for
from gateway.simulator.completions import count, inputs
from gateway.simulator.errors import ApiError
from gateway.simulator.faults import Faults
from gateway.simulator.reply import Reply
from gateway.simulator.tokens import Tokens

_DIMENSIONS = {"text-embedding-3-large": 3072}
_DEFAULT_DIMENSIONS = 1536
_MAX_TOKENS = 8192
"""Of one input, by the API reference."""

_WORD = re.compile(r"\w+")
_PLACES = 12
"""How many dimensions a word moves."""

_NOISE = 0.02


async def respond(fields: Mapping[str, Any], faults: Faults, tokens: Tokens) -> Reply:
    checks.embeddings(fields)
    model: str = fields["model"]
    items = inputs(fields["input"])
    counts = [await count([item], model, tokens) for item in items]
    if max(counts) > _MAX_TOKENS:
        message = f"This model's maximum context length is {_MAX_TOKENS} tokens, however you requested {max(counts)}"
        raise ApiError(f"{message} tokens. Please reduce your prompt.", code="context_length_exceeded")
    width = _DIMENSIONS.get(model, _DEFAULT_DIMENSIONS)
    body: dict[str, Any] = {
        "object": "list",
        "data": [_entry(number, vector(str(item), width), fields) for number, item in enumerate(items)],
        "model": model,
    }
    if not faults.no_usage:
        body["usage"] = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return Reply(0, body=body)


def _entry(number: int, full: list[float], fields: Mapping[str, Any]) -> dict[str, Any]:
    vector = _unit(full[: fields.get("dimensions") or len(full)])
    embedding: object = vector
    if fields.get("encoding_format") == "base64":
        embedding = base64.b64encode(array("f", vector).tobytes()).decode()
    return {"object": "embedding", "index": number, "embedding": embedding}


def vector(text: str, width: int) -> list[float]:
    """Not normalised: each word of `text` adds to a few dimensions, and a little noise tells near twins apart."""
    noise = random_for(text)
    made = [noise.uniform(-_NOISE, _NOISE) for _ in range(width)]
    for word in _WORD.findall(text.lower()):
        digest = blake2b(word.encode(), digest_size=2 * _PLACES).digest()
        for place in range(0, 2 * _PLACES, 2):
            number = int.from_bytes(digest[place : place + 2])
            made[number % width] += 1 if number & 0x8000 else -1
    return made


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector]
