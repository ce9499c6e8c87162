"""Clients of a gateway under attack: one request each, and a verdict on what came back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

CHAT = "/v1/chat/completions"
KEY = "key-of-the-chaos-client"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`is_honest`: a success that is whole, or a failure that says so."""

    status: int
    is_success: bool
    is_honest: bool


def chat(prompt: str, *, stream: bool = False, model: str = "auto") -> bytes:
    return json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]}).encode()


async def ask(
    http: aiohttp.ClientSession, url: str, body: bytes, *, headers: Mapping[str, str] = AUTHORIZED
) -> Outcome:
    """Send one chat completion; a connection that breaks after its head is an honest failure."""
    status = 0
    try:
        async with http.post(url + CHAT, data=body, headers=headers) as response:
            status = response.status
            return judged(status, response.content_type, await response.read())
    except aiohttp.ClientError:
        return Outcome(status, is_success=False, is_honest=status != 0)


def judged(status: int, content_type: str, body: bytes) -> Outcome:
    if content_type == "text/event-stream":
        is_done, has_error = body.endswith(b"data: [DONE]\n\n"), b'data: {"error"' in body
        return Outcome(status, is_success=is_done and not has_error, is_honest=is_done != has_error)
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return Outcome(status, is_success=False, is_honest=False)
    if status == 200:
        is_whole = isinstance(answer, dict) and bool(answer.get("choices"))
        return Outcome(status, is_success=is_whole, is_honest=is_whole)
    error = answer.get("error") if isinstance(answer, dict) else None
    is_object = isinstance(error, dict) and {"message", "type", "param", "code"} <= set(error)
    return Outcome(status, is_success=False, is_honest=is_object)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not pass; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
