"""What a tier is chosen by, found in the messages of a chat or the items of a response."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.values import Question
from gateway.wire.content import text_of

EARLIER = 8
"""How many of the user's earlier turns are looked at."""
_INSTRUCTING = frozenset({"system", "developer"})
_IMAGES = frozenset({"image_url", "input_image"})

Messages = Sequence[Mapping[str, Any]]


def question_in(messages: Messages, fields: Mapping[str, Any], body: bytes, *, instructions: str = "") -> Question:
    """`messages` are checked; `instructions` are those that stand outside of them."""
    asked, told = [], [instructions] if instructions else []
    for message in messages:
        role = message.get("role")
        if role == "user":
            asked.append(message)
        elif role in _INSTRUCTING:
            told.append(text_of(message.get("content")))
    texts = [text_of(message.get("content")) for message in asked[: -EARLIER - 2 : -1]]
    return Question(
        text=texts[0] if texts else "",
        earlier=tuple(texts[1:]),
        system="\n".join(told),
        has_tools=bool(fields.get("tools") or fields.get("functions")),
        has_images=b"image" in body and _has_images(messages),
    )


def _has_images(messages: Messages) -> bool:
    contents = (message.get("content") for message in messages)
    return any(part.get("type") in _IMAGES for content in contents if isinstance(content, list) for part in content)
