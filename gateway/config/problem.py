"""What is wrong with a configuration, and how it is told.

One line a problem: `gateway.yaml:6: upstreams.openai.connect_timeout_s: expected a number of seconds > 0, got '10s'`.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where a value stands: keys of mappings and indexes of lists, from the top."""

_TAME_KEY = re.compile(r"[\w*?/+@-][\w*?/+@.:-]*")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """`text` says what was expected, `got` what was there; `line` counts from 1."""

    path: Path
    text: str
    line: int | None = None
    got: str = ""
    """Kept apart where it quotes a value, so that one that came from outside the text can be left out."""
    other: Path | None = None
    """A second place that the sentence ends with."""
    hint: str = ""
    is_warning: bool = False
    rests_on: tuple[Path, ...] = ()
    """Places this claim was read from: where one of them was itself in error, the claim is not made."""

    def told(self, source: str) -> str:
        where = source if self.line is None else f"{source}:{self.line}"
        text = f"{self.text}, got {self.got}" if self.got else self.text
        if self.other is not None:
            text += f" {dotted(self.other)}"
        return ": ".join(part for part in (where, dotted(self.path), text + self.hint) if part)


def dotted(path: Path) -> str:
    """`routes[0].match.models`; keys that would be misread as anything else stand in brackets and quotes."""
    text = ""
    for step in path:
        if isinstance(step, str) and _TAME_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


def quoted(text: str) -> str:
    """`text` as messages show it: on one line, short, and without what URLs carry in user, password and query."""
    if "@" in text:
        text = "…" + text[text.rindex("@") :]
    if "?" in text and "://" in text:
        text = text[: text.index("?")] + "?…"
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "…"
    return repr(text)


def one_of(words: Iterable[str]) -> str:
    """`'a', 'b' or 'c'`."""
    *first, last = [repr(word) for word in words]
    return f"{', '.join(first)} or {last}" if first else last


def counted(number: int, noun: str) -> str:
    """`1 route`, `2 routes`, `2 entries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{number:,} {noun}s"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with the nearest of `known`, or nothing when none is near."""
    spelled = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), spelled, n=1)
    return f" (did you mean {spelled[near[0]]!r}?)" if near else ""
