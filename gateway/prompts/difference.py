"""A version as lines to read, and what is other in one of two versions. Pure.

For the admin port, whose loop serves other things as well: however long the texts are, there is little to compare.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

import orjson

from gateway.prompts.document import PromptDocument

MOST_PAIRS = 250_000
"""Lines of one times lines of the other, where they begin and end alike left out: some 0.1 s at the worst."""
_TEXTS = ("messages", "name")


class Line(NamedTuple):
    kind: Literal["same", "removed", "added"]
    text: str


def lines_of(document: PromptDocument) -> list[str]:
    """What there is to set stands first, one field a line; then every message under its role."""
    fields = document.model_dump(mode="json", exclude_defaults=True)
    lines = [f"{name}: {orjson.dumps(value).decode()}" for name, value in fields.items() if name not in _TEXTS]
    for message in document.messages:
        lines += [f"[{message.role}]", *message.content.split("\n")]
    return lines


def difference(before: PromptDocument, after: PromptDocument) -> list[Line]:
    """All lines of both, in an order in which either can be read."""
    old, new = lines_of(before), lines_of(after)
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    middle = _middle(old[start : len(old) - end], new[start : len(new) - end])
    tail = old[len(old) - end :]
    return [*(Line("same", text) for text in old[:start]), *middle, *(Line("same", text) for text in tail)]


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines they begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def _middle(old: list[str], new: list[str]) -> list[Line]:
    if len(old) * len(new) > MOST_PAIRS:
        return [*(Line("removed", text) for text in old), *(Line("added", text) for text in new)]
    found: list[Line] = []
    for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found += [Line("same", text) for text in old[i:j]]
        else:
            found += [Line("removed", text) for text in old[i:j]]
            found += [Line("added", text) for text in new[k:m]]
    return found
