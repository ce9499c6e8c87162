"""Long text in pieces that can be counted one by one, at bounded cost and without changing the sum.

Two reasons to cut. A tokenizer call on megabytes holds the GIL for the whole of its result list, and
overflows tiktoken's regex engine on a million spaces. And byte-pair merging is superlinear in the
length of one *piece of its pattern*: a megabyte of one letter is a single piece.

The first kind of cut is made only where both of our patterns end a piece whatever follows, so the
sum stays exact. The second kind, inside a run, may add a token a cut: the count is then a bound.
"""

import re
from collections.abc import Iterator

RUN_CHARS = 1024
"""Longest run of letters, or of anything but letters and digits, that is left whole."""

CHUNK_CHARS = 32_768
"""About 8,000 tokens: 2 ms of a tokenizer, 0.1 ms of it with the GIL held."""

_BLOCK = RUN_CHARS // 2
"""A run longer than RUN_CHARS covers at least one aligned block of half its size, so looking at those is enough."""

_SPACE = re.compile(r"\s")
_ALNUM = re.compile(r"[^\W_]")

_RUN = re.compile(
    r"[^\s\d!-/:-@\[-`{-~\u2000-\u206f\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]+"  # letters and marks, roughly
    r"|[\W_]+"  # spaces, punctuation, symbols: o200k_base makes one piece of a thousand '/\n'
)

_SEAM = re.compile(r"(?<=[^\W\d_])(?=[ \n,.:;!?)\u3001\u3002\uff0c\uff01\uff1f])")
"""A letter, then something no word goes on with: a piece ends here in both patterns."""


def pieces(text: str) -> tuple[list[str], bool]:
    """`text` in pieces of at most `CHUNK_CHARS`, and whether their counts add up exactly to that of the whole.

    Chunks first: each step below is one call that holds the GIL, so none may see a whole megabyte.
    """
    if len(text) <= RUN_CHARS:
        return [text], True
    chunks, is_exact = _chunks(text)
    found: list[str] = []
    for chunk in chunks:
        cuts = list(_run_cuts(chunk)) if _may_hold_long_run(chunk) else []
        found += [chunk[start:end] for start, end in zip([0, *cuts], [*cuts, len(chunk)], strict=True)]
        is_exact = is_exact and not cuts
    return found, is_exact


def _may_hold_long_run(text: str) -> bool:
    """A quick no for honest text: every aligned block has a space among words."""
    for start in range(0, len(text) - _BLOCK + 1, _BLOCK):
        end = start + _BLOCK
        if not _SPACE.search(text, start, end) or not _ALNUM.search(text, start, end):
            return True
    return False


def _run_cuts(text: str) -> Iterator[int]:
    for run in _RUN.finditer(text):
        yield from range(run.start() + RUN_CHARS, run.end(), RUN_CHARS)


def _chunks(text: str) -> tuple[list[str], bool]:
    """Cut at seams; where a chunk's second half has none (no known language does this), anywhere."""
    found: list[str] = []
    is_exact = True
    start = 0
    while len(text) - start > CHUNK_CHARS:
        seam = _SEAM.search(text, start + CHUNK_CHARS // 2, start + CHUNK_CHARS)
        end = seam.start() if seam else start + CHUNK_CHARS
        is_exact = is_exact and seam is not None
        found.append(text[start:end])
        start = end
    found.append(text[start:])
    return found, is_exact
