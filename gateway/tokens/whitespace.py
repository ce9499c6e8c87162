"""Whitespace that would be paid for and says nothing.

`trailing` takes what stands at the end of lines and of the text. `all` also takes blank lines beyond
one, runs of blanks inside a line, and the layout of a text that is JSON as a whole. Fenced code, quoted
strings and the indentation of lines are never touched.
"""

import json
import re
from typing import Literal

FENCED = re.compile(r"(^[ \t]*(?:```|~~~).*?(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z))", re.DOTALL | re.MULTILINE)
TRAILING = re.compile(r"(?<![ \t])[ \t]+(?=\r?\n)")
BLANK_LINES = re.compile(r"\n(?:\r?\n){2,}")
INNER = re.compile(r'("(?:[^"\\\n]|\\.)*+(?:"|\\?$)|^[ \t]+)|[ \t]{2,}', re.MULTILINE)
JSON_LAYOUT = re.compile(r'("(?:[^"\\]|\\.)*+")|\s+')
"""None of them looks at a character more than a few times, whatever the text: clients write it."""


def trimmed(text: str, how: Literal["trailing", "all"]) -> str:
    """`text` without the whitespace that `how` names."""
    if how == "all" and _is_json(text):
        return JSON_LAYOUT.sub(r"\1", text)
    outside = FENCED.split(text)
    outside[::2] = [_outside_fences(part, how) for part in outside[::2]]
    return "".join(outside).rstrip()


def _outside_fences(text: str, how: Literal["trailing", "all"]) -> str:
    text = TRAILING.sub("", text)
    if how == "all":
        text = BLANK_LINES.sub("\n\n", text)
        text = INNER.sub(lambda match: match.group(1) or " ", text)
    return text


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
