"""What is compared of a request to tell whether another one's answer does for it: request → `Likeness`, or nothing.

Everything that makes two requests different for the cache makes them different here, but for the words of the last
question: sharing scope, route, targets, system prompt, earlier turns, tools and all other parameters are hashed into
the partition by the very function that makes cache keys. Pure.
"""

from collections.abc import Mapping
from typing import Any

from gateway.cache.guard import Marks, marks_of
from gateway.cache.key import key_with
from gateway.value import value
from gateway.values import Decision, Request

_ROLES = frozenset({"system", "developer", "user", "assistant"})
_TEXTS = frozenset({"text", "input_text", "output_text"})
_ASKING = {"chat": "messages", "responses": "input"}
"""Endpoint → where its questions stand."""


@value
class Likeness:
    partition: str
    """Requests of another one have nothing in common with this."""
    marks: Marks
    text: str
    """The question, as it is to be turned into a vector."""


def likeness_of(request: Request, decision: Decision, *, route: str, scope: str, beta: str = "") -> Likeness | None:
    """None where `request` is not one clear question in plain text, for one answer: with pictures or results of tools
    in the conversation, in another language than English, too long, or with signs that nobody can see."""
    place = _ASKING.get(request.endpoint)
    if place is None or request.choices != 1:
        return None
    turns = request.edits.get(place, request.fields.get(place))
    found = (turns, None) if isinstance(turns, str) else _split(turns)
    if found is None:
        return None
    text, blank = found
    marks = marks_of(text)
    if marks is None:
        return None
    key = key_with(request, {place: blank}, decision, route=route, scope=scope, beta=beta)
    return None if key is None else Likeness(key.name, marks, text)


def _split(turns: object) -> tuple[str, list[Any]] | None:
    """The last turn's text, and all turns without it."""
    if not isinstance(turns, list) or not turns or not all(map(_is_plain, turns)):
        return None
    last = turns[-1]
    if last.get("role") != "user":
        return None
    content = last.get("content")
    if isinstance(content, list):
        if len(content) != 1:
            return None
        text, blank = content[0].get("text"), [{**content[0], "text": None}]
    else:
        text, blank = content, None
    return (text, [*turns[:-1], {**last, "content": blank}]) if isinstance(text, str) else None


def _is_plain(turn: Mapping[str, Any]) -> bool:
    """Text of somebody's, and nothing else."""
    if turn.get("role") not in _ROLES or turn.get("type", "message") != "message":
        return False
    if turn.get("tool_calls") or turn.get("function_call") or turn.get("audio"):
        return False
    content = turn.get("content")
    return isinstance(content, str) or (
        isinstance(content, list) and all(part.get("type") in _TEXTS for part in content)
    )
