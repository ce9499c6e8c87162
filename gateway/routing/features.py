"""What the classifier sees of a query: its different words, and thirty measures of its surface, in one pass over bytes.

Serving and training call the same `extract`, so they cannot drift apart. A measure is a small whole number, a *level*,
because the classifier looks up what each level of each measure is worth in place of calculating it. Names of surface
measures are promises to model files, which carry them: changing one, its meaning or the splitting below needs a new
`VERSION`, and files made with another version are refused.

More was tried and left out, since cross-validation saw no gain: word pairs, character n-grams, counts of word classes
(question words, negations, units, …), how sentences end, squares and products of these measures.
"""

import re
from math import log1p
from typing import NamedTuple

VERSION = 2
"""Of the splitting and the surface measures together."""

MAX_CHARS = 8_000
"""Text beyond this is not looked at, neither as characters nor as bytes: it bounds the time a decision can take."""

LEVELS = 256
_PER_E_FOLD = 28
"""Levels by which a count rises when it grows 2.7-fold: log(1 + MAX_CHARS) is just below `LEVELS`."""
_LOG = tuple(round(_PER_E_FOLD * log1p(count)) for count in range(MAX_CHARS + 1))
"""Count → level."""
_PERCENT = 100

_WORD = re.compile(r"[^\W_]+")
_DECIMAL = re.compile(rb"\d\.\d")
_IS_WORD_BYTE = [byte > 127 or chr(byte).isalnum() for byte in range(256)]
_TO_WORDS = bytes(byte if _IS_WORD_BYTE[byte] else 32 for byte in range(256)).lower()
"""Capitals become small, what is no letter or digit a space: one call both folds and splits plain English."""
_NOT_MARKS = bytes(byte for byte in range(256) if _IS_WORD_BYTE[byte] or byte == 32)
_DIGITS = b"0123456789"
_NOT_ASCII = bytes(range(128, 256))
_OPTION_LETTERS = frozenset(b"ABCDEFGHIJabcdefghij")
_OPTION_ENDS = frozenset(b".)")

_MARKS = {
    "question_marks": b"?",
    "full_stops": b".",
    "commas": b",",
    "colons": b":",
    "semicolons": b";",
    "quotes": b'"',
    "apostrophes": b"'",
    "parentheses": b"(",
    "brackets": b"[",
    "braces": b"{",
    "backslashes": b"\\",
    "dollars": b"$",
    "equals": b"=",
    "plus": b"+",
    "carets": b"^",
    "underscores": b"_",
    "percents": b"%",
    "slashes": b"/",
    "stars": b"*",
    "lines": b"\n",
}
_MARK_BYTES = tuple(_MARKS.values())
_SHAPE = ("characters", "words", "word_length", "distinct_share", "digits", "decimals", "question_length")
_OPTIONS = ("options", "option_length", "option_spread", "option_capitals", "option_numbers", "option_overlap")
_NO_OPTIONS = (0,) * len(_OPTIONS)

SURFACE = (*_SHAPE, *_MARKS, *_OPTIONS)
"""Names of the surface measures, in the order of `Features.surface`."""


class Features(NamedTuple):
    words: set[bytes]
    """The different words and numbers, lower-cased, as UTF-8."""
    surface: list[int]
    """One level for each name in `SURFACE`, 0 to `LEVELS - 1`."""


def extract(text: str) -> Features:
    """Features of the beginning of `text`; any string is fine, the empty one and lone surrogates too."""
    raw = text[:MAX_CHARS].encode(errors="replace")[:MAX_CHARS]
    words = split(raw)
    distinct = set(words)
    marks = raw.translate(None, _NOT_MARKS)
    counts = map(marks.count, _MARK_BYTES)
    question_length, options = _find_options(raw) if b"\n" in marks else (len(raw), _NO_OPTIONS)
    shape = _shape(raw, len(words), len(distinct), len(marks), question_length)
    return Features(distinct, [*shape, *map(_LOG.__getitem__, counts), *options])


def foreign_share(text: str) -> float:
    """Share of non-ASCII among the bytes of what is looked at."""
    if text.isascii():
        return 0.0
    raw = text[:MAX_CHARS].encode(errors="replace")
    return 1 - len(raw.translate(None, _NOT_ASCII)) / len(raw)


def split(raw: bytes) -> list[bytes]:
    """Runs of letters and digits, lower-cased. Plain English is split by table, five times as fast as by pattern."""
    if raw.isascii():
        return raw.translate(_TO_WORDS).split()
    return [word.encode() for word in _WORD.findall(raw.decode(errors="ignore").lower())]


def _shape(raw: bytes, words: int, distinct: int, marks: int, question_length: int) -> tuple[int, ...]:
    size = len(raw)
    if not words:
        return (_LOG[size], 0, 0, 0, 0, 0, _LOG[question_length])
    digits = size - len(raw.translate(None, _DIGITS))
    return (
        _LOG[size],
        _LOG[words],
        min(LEVELS - 1, 8 * (size - marks - raw.count(b" ")) // words),
        _PERCENT * distinct // words,
        _LOG[digits],
        _LOG[len(_DECIMAL.findall(raw))] if digits > 1 else 0,
        _LOG[question_length],
    )


def _find_options(raw: bytes) -> tuple[int, tuple[int, ...]]:
    """How long the question is, and the shape of the answers it offers: lines like `B. 42` or `b) none`."""
    lines = raw.split(b"\n")
    found = [line for line in lines if len(line) > 1 and line[1] in _OPTION_ENDS and line[0] in _OPTION_LETTERS]
    if len(found) < 2:
        return len(raw), _NO_OPTIONS
    before = lines[: lines.index(found[0])]
    return sum(map(len, before)) + len(before) - 1 if before else 0, _option_shape(found)


def _option_shape(options: list[bytes]) -> tuple[int, ...]:
    """How many answers, how long, how unequal, how many begin with a capital or a number, how many words they share."""
    count = len(options)
    lengths = list(map(len, options))
    total = sum(lengths)
    heads = [option[3:4] for option in options]
    words = b" ".join(options).split()
    return (
        min(LEVELS - 1, count),
        _LOG[total // count],
        min(LEVELS - 1, 16 * count * (max(lengths) - min(lengths)) // total),
        _PERCENT * sum(map(bytes.isupper, heads)) // count,
        _PERCENT * sum(map(bytes.isdigit, heads)) // count,
        _PERCENT - _PERCENT * len(set(words)) // len(words),
    )
