"""How a whole answer is cut up to be told as a stream: in words, like a live one, but never in very many."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_PIECES = 32
"""Of one text: an answer comes word by word while it is short, in ever longer phrases when it is not,
so that replaying a long one takes some 70 microseconds, not milliseconds."""

_WORD = re.compile(r"\s*+\S{1,24}+|\s+")
"""A word with the space before it, as tokens have it; what has no spaces is cut every 24 characters."""


def phrases(text: str) -> Iterator[str]:
    """`text` in at most `MAX_PIECES` pieces, cut between words."""
    least = len(text) // MAX_PIECES
    start = 0
    while start < len(text):
        word = _WORD.match(text, start + least)
        end = word.end() if word else len(text)
        yield text[start:end]
        start = end


def with_logs(text: str, entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    """`text` in pieces, each with its share of the log probabilities `entries`, one a token.

    Where tokens do not spell the text (half characters cannot), the first piece carries them all.
    """
    tokens = [str(entry.get("token")) for entry in entries]
    if "".join(tokens) == text:
        for part in shares(len(tokens)):
            yield "".join(tokens[part]), entries[part]
        return
    for piece in phrases(text):
        yield piece, entries
        entries = []


def shares(count: int) -> Iterator[slice]:
    """`count` things in at most `MAX_PIECES` slices of equal length, the last one perhaps shorter."""
    size = -(-count // MAX_PIECES)
    return (slice(start, start + size) for start in range(0, count, size or 1))
