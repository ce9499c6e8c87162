"""Which messages go when a prompt is too long: the oldest turns, whole.

A turn begins with a user's message and holds all that followed from it, so a tool's call and result
go together. What is never dropped: system and developer messages, and the last turn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_KEPT = ("system", "developer")


def turns(messages: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """The droppable turns, oldest first, as indexes into `messages`."""
    found: list[list[int]] = [[]]
    for index, message in enumerate(messages):
        if message.get("role") == "user":
            found.append([])
        if message.get("role") not in _KEPT:
            found[-1].append(index)
    return [turn for turn in found[:-1] if turn]


def oldest(messages: Sequence[Mapping[str, Any]], tokens: Mapping[int, int], excess: int) -> list[int] | None:
    """Indexes of the fewest oldest turns that free `excess` tokens; None when all of them do not.

    `tokens` says what each message costs.
    """
    dropped: list[int] = []
    for turn in turns(messages):
        if excess <= 0:
            break
        dropped += turn
        excess -= sum(tokens.get(index, 0) for index in turn)
    return dropped if excess <= 0 else None
