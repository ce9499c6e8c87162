"""What a prompt pays for and gains nothing by, and where it stands.

    trailing   blanks at the ends of lines and of a text      what `trim: trailing` removes
    runs       blank lines beyond one, several blanks         what `trim: all` removes besides
    json       the indentation and line breaks of JSON        wherever it stands in a text
    repeat     a block that has stood in this prompt before   whole sentences or lines, 200 characters or more
    prefix     the beginning that the route's prompts share   see `prefix.py`: it takes more than one prompt

Pure, and linear in the text: clients write it. What a fragment costs is the difference that its removal
makes to the tokens around it, for a tokenizer puts blanks and words together.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gateway.tokens.whitespace import BLANK_LINES, FENCED, INNER, JSON_LAYOUT, TRAILING
from gateway.values import Request

Kind = Literal["trailing", "runs", "json", "repeat", "prefix"]
KINDS: tuple[Kind, ...] = ("trailing", "runs", "json", "repeat", "prefix")

Count = Callable[[str], int]

REPEAT_CHARS = 200
"""Some 50 tokens. Shorter repetitions are how people, code and tables look."""

ANCHOR_CHARS = 24
"""A repetition begins with a sentence or line of this length at least; shorter ones are within it."""

JSON_CHARS = 40
"""Below this there is not much layout to save."""

JSON_FAILURES = 8
"""So many things in a text may look like JSON and be none; each may cost a look at all that follows."""

MOST_FRAGMENTS = 500
"""In one text; beyond it the waste is understated."""

_JSON_START = re.compile(r"[{\[][ \t]*\r?\n")
_UNIT = re.compile(r"[^\n.!?]*[\n.!?]+[ \t]*|[^\n.!?]+")
_WORD_CHARS = 32
_DECODER = json.JSONDecoder()


class Text(NamedTuple):
    """One text of a prompt."""

    label: str
    """Where it stands: `messages[3]`, or `messages[3].content[1]` where the content is a list."""
    text: str


class Fragment(NamedTuple):
    """What `text[start:end]` of a labelled text could be shortened to; offsets in characters."""

    kind: Kind
    label: str
    start: int
    end: int
    instead: str = ""


# ------------------------------------------------------------------ the texts of a request


def texts_of(request: Request) -> list[Text]:
    """What people or templates wrote: messages, instructions, prompts, results of tools; not the tools' definitions."""
    fields = request.fields
    if request.endpoint == "chat":
        return [text for i, m in enumerate(fields["messages"]) for text in _texts(f"messages[{i}]", m.get("content"))]
    if request.endpoint == "completions":
        return [*_strings("prompt", fields.get("prompt")), *_strings("suffix", fields.get("suffix"))]
    if request.endpoint == "embeddings":
        return list(_strings("input", fields.get("input")))
    return [*_strings("instructions", fields.get("instructions")), *_items(fields.get("input"))]


def _items(value: Any) -> Iterator[Text]:
    yield from _strings("input", value if isinstance(value, str) else None)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, Mapping):
            for field in ("content", "output"):
                yield from _texts(f"input[{index}]", item.get(field), field)


def _texts(label: str, value: Any, field: str = "content") -> Iterator[Text]:
    if isinstance(value, str):
        yield Text(label, value)
    for index, part in enumerate(value if isinstance(value, list) else ()):
        text = part.get("text") if isinstance(part, Mapping) else None
        if isinstance(text, str):
            yield Text(f"{label}.{field}[{index}]", text)


def _strings(label: str, value: Any) -> Iterator[Text]:
    if isinstance(value, str):
        yield Text(label, value)
    for index, text in enumerate(value if isinstance(value, list) else ()):
        if isinstance(text, str):
            yield Text(f"{label}[{index}]", text)


# ------------------------------------------------------------------ what is found


def fragments(texts: Sequence[Text]) -> list[Fragment]:
    """All that is wasted in one prompt; whitespace inside a block that is there twice is counted with the block."""
    blocks = list(repeats(texts))
    return [*blocks, *(one for text in texts for one in outside(blanks(text), blocks))]


def outside(found: Iterable[Fragment], blocks: Sequence[Fragment]) -> Iterator[Fragment]:
    """Those of `found` that do not lie within one of `blocks`."""
    for one in found:
        if not any(b.label == one.label and b.start <= one.start and one.end <= b.end for b in blocks):
            yield one


def blanks(text: Text) -> list[Fragment]:
    """Whitespace that is paid for, in the order of the text, at most `MOST_FRAGMENTS`."""
    label, string = text
    found = [Fragment("json", label, start, end, instead) for start, end, instead in _json(string)]
    masked = string
    for start, end in [*((one.start, one.end) for one in found), *_fences(string)]:
        masked = f"{masked[:start]}{'x' * (end - start)}{masked[end:]}"  # the offsets stay, and nothing is found there
    end = len(masked.rstrip())
    if end < len(masked):
        found.append(Fragment("trailing", label, end, len(masked)))
    found += [Fragment("trailing", label, *match.span()) for match in TRAILING.finditer(masked, 0, end)]
    found += [Fragment("runs", label, *match.span(), "\n\n") for match in BLANK_LINES.finditer(masked, 0, end)]
    found += [
        Fragment("runs", label, *match.span(), " ")
        for match in INNER.finditer(masked, 0, end)
        if match.group(1) is None and masked[match.end()] not in "\r\n"  # else it is trailing
    ]
    found.sort(key=lambda one: one.start)
    return found[:MOST_FRAGMENTS]


def _fences(text: str) -> Iterator[tuple[int, int]]:
    if "```" in text or "~~~" in text:
        yield from (match.span() for match in FENCED.finditer(text))


def _json(text: str) -> Iterator[tuple[int, int, str]]:
    """JSON over several lines: where it stands, and how it looks without its layout."""
    start, failures = 0, 0
    while failures < JSON_FAILURES and (match := _JSON_START.search(text, start)):
        start = match.start()
        try:
            _, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            start, failures = match.end(), failures + 1
            continue
        if end - start >= JSON_CHARS:
            yield start, end, JSON_LAYOUT.sub(r"\1", text[start:end])
        start = end


def repeats(texts: Sequence[Text]) -> Iterator[Fragment]:
    """Blocks of `REPEAT_CHARS` or more that the prompt has already had, without the first of each.

    Compared are sentences and lines without the blanks around them, so that a template which puts its
    context in twice is found even if a blank has come in between.
    """
    if sum(len(text.text) for text in texts) < 2 * REPEAT_CHARS:
        return
    units = [
        (index, match.start(), match.end(), match.group().strip())
        for index, text in enumerate(texts)
        for match in _UNIT.finditer(text.text)
    ]
    units = [unit for unit in units if unit[3]]
    first: dict[str, int] = {}
    at = 0
    while at < len(units):
        key = units[at][3]
        before = first.setdefault(key, at) if len(key) >= ANCHOR_CHARS else at
        length = _same(units, before, at) if before < at else 0
        if length:
            index, start, end = units[at][0], units[at][1], units[at + length - 1][2]
            yield Fragment("repeat", texts[index].label, start, end)
        at += max(1, length)


def _same(units: Sequence[tuple[int, int, int, str]], before: int, at: int) -> int:
    """How many units from `at` on equal those from `before` on; 0 where they make too short a block."""
    index, other = units[at][0], units[before][0]
    length = chars = 0
    while at + length < len(units) and before + length < at:
        mine, theirs = units[at + length], units[before + length]
        if mine[3] != theirs[3] or mine[0] != index or theirs[0] != other:
            break
        length += 1
        chars += len(mine[3])
    return length if chars >= REPEAT_CHARS else 0


# ------------------------------------------------------------------ what it costs


def cost_of(text: str, fragment: Fragment, count: Count) -> int:
    """Tokens that the fragment of `text` costs more than what could stand there instead."""
    start, end = fragment.start, fragment.end
    before = _word_before(text[max(0, start - _WORD_CHARS) : start])
    after = _word_after(text[end : end + _WORD_CHARS])
    return max(0, count(before + text[start:end] + after) - count(before + fragment.instead + after))


def _word_before(text: str) -> str:
    return text[text.rstrip().rfind(" ") + 1 :]


def _word_after(text: str) -> str:
    word = text.lstrip()
    return text[: len(text) - len(word) + len(word.split(maxsplit=1)[0])] if word else ""
