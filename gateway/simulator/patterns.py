"""A string that matches a regular expression: what a JSON schema's `pattern` asks for.

Reads the common ground of ECMA-262 and Python (literals, classes, groups, alternation, quantifiers,
anchors at the ends) and refuses the rest (look-around, back-references) rather than guess.
"""

import random
import string
from collections.abc import Callable
from typing import NamedTuple

_PRINTABLE = "".join(chr(code) for code in range(32, 127))
_WORD_CHARS = string.ascii_letters + string.digits + "_"
_CLASSES = {
    "d": string.digits,
    "w": _WORD_CHARS,
    "s": " ",
    "D": string.ascii_letters,
    "W": " .,;:-",
    "S": string.ascii_letters + string.digits,
}
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}

_MORE = 3
"""How many repeats `*`, `+` and `{m,}` take beyond the least."""

_MAX_CHARS = 10_000
_MAX_DEPTH = 50


class Part(NamedTuple):
    """One construct of a pattern."""

    make: Callable[[random.Random], str]
    most: int
    """Characters at the most, and at least 1: it bounds the work, and empty groups can be repeated too."""


class UnsupportedPattern(ValueError):
    """The pattern uses something that cannot be sampled from, or is not a pattern."""


def sample(pattern: str, rng: random.Random) -> str:
    """A string that matches `pattern`, from its start to its end."""
    parser = _Parser(pattern)
    part = parser.alternatives(0)
    if parser.at < len(pattern):
        raise parser.unsupported("a ')' that closes nothing")
    return part.make(rng)


class _Parser:
    """Recursive descent; each method reads one construct at `at` and returns what makes a match of it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def alternatives(self, depth: int) -> Part:
        if depth > _MAX_DEPTH:
            raise self.unsupported("groups nested so deep")
        branches = [self.sequence(depth)]
        while self.take("|"):
            branches.append(self.sequence(depth))
        return Part(lambda rng: rng.choice(branches).make(rng), max(branch.most for branch in branches))

    def sequence(self, depth: int) -> Part:
        parts: list[Part] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self.repeated(depth))
        return self.bounded(lambda rng: "".join(part.make(rng) for part in parts), sum(part.most for part in parts))

    def repeated(self, depth: int) -> Part:
        make, most = self.atom(depth)
        low, high = self.quantifier()
        if (low, high) == (1, 1):
            return Part(make, most)
        return self.bounded(lambda rng: "".join(make(rng) for _ in range(rng.randint(low, high))), high * most)

    def bounded(self, make: Callable[[random.Random], str], most: int) -> Part:
        if most > _MAX_CHARS:
            raise self.unsupported(f"more than {_MAX_CHARS:,} characters")
        return Part(make, max(1, most))

    def quantifier(self) -> tuple[int, int]:
        low, high = 1, 1
        if self.take("*"):
            low, high = 0, _MORE
        elif self.take("+"):
            low, high = 1, 1 + _MORE
        elif self.take("?"):
            low, high = 0, 1
        elif self.peek() == "{" and "}" in self.pattern[self.at :]:
            low, high = self.braces()
        else:
            return 1, 1
        if self.peek() in ("?", "+"):  # lazy and possessive match the same strings
            self.at += 1
        return low, high

    def braces(self) -> tuple[int, int]:
        inside, _, _ = self.pattern[self.at + 1 :].partition("}")
        least, comma, most = inside.partition(",")
        if not least.isdecimal() or not (most == "" or most.isdecimal()):
            raise self.unsupported("braces that hold no numbers")
        self.at += len(inside) + 2
        low = min(int(least), _MAX_CHARS + 1)
        high = low if not comma else low + _MORE if not most else min(int(most), low + _MORE)
        if high < low:
            raise self.unsupported("a quantifier whose end is before its start")
        return low, high

    def atom(self, depth: int) -> Part:
        char = self.next()
        if char == "(":
            return self.group(depth)
        if char == "[":
            return self.character_class()
        if char == "\\":
            return self.escape()
        if char == ".":
            return _one_of(string.ascii_lowercase)
        if (char == "^" and self.at == 1) or (char == "$" and self.at == len(self.pattern)):
            return Part(lambda rng: "", 1)
        if char in "^$*+?":
            raise self.unsupported(f"'{char}' in this place")
        return _one_of(char)

    def group(self, depth: int) -> Part:
        if self.take("?"):
            if self.take("P<") or (self.peek() == "<" and self.pattern[self.at + 1 : self.at + 2] not in "=!"):
                self.at = self.pattern.find(">", self.at) + 1
                if self.at == 0:
                    raise self.unsupported("an unfinished group name")
            elif not self.take(":"):
                raise self.unsupported("look-around and flags")
        make = self.alternatives(depth + 1)
        if not self.take(")"):
            raise self.unsupported("a group that is never closed")
        return make

    def character_class(self) -> Part:
        is_negated = self.take("^")
        chars = ""
        while self.peek() != "]" or not chars:
            chars += self.class_item()
        self.at += 1
        if is_negated:
            chars = "".join(char for char in _PRINTABLE if char not in chars)
        if not chars:
            raise self.unsupported("a class that nothing is in")
        return _one_of(chars)

    def class_item(self) -> str:
        first = self.class_char()
        if len(first) > 1 or self.peek() != "-" or self.pattern[self.at + 1 : self.at + 2] in ("]", ""):
            return first
        self.at += 1
        last = self.class_char()
        if len(last) > 1 or not 0 <= ord(last) - ord(first) < 0x1000:
            raise self.unsupported("such a range")
        return "".join(map(chr, range(ord(first), ord(last) + 1)))

    def class_char(self) -> str:
        char = self.next()
        return char if char != "\\" else self.escaped("a class")

    def escape(self) -> Part:
        return _one_of(self.escaped("an escape"))

    def escaped(self, where: str) -> str:
        char = self.next()
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _CONTROL:
            return _CONTROL[char]
        if char in "xu":
            digits = self.pattern[self.at : self.at + (2 if char == "x" else 4)]
            self.at += len(digits)
            try:
                return chr(int(digits, 16))
            except ValueError:
                raise self.unsupported(f"'\\{char}{digits}'") from None
        if char.isalnum():
            raise self.unsupported(f"'\\{char}' in {where}")
        return char

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self, text: str) -> bool:
        if not self.pattern.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def next(self) -> str:
        if self.at >= len(self.pattern):
            raise self.unsupported("a pattern that breaks off")
        self.at += 1
        return self.pattern[self.at - 1]

    def unsupported(self, what: str) -> UnsupportedPattern:
        return UnsupportedPattern(f"the simulator cannot make text for {what} (pattern '{self.pattern}')")


def _one_of(chars: str) -> Part:
    return Part(lambda rng: rng.choice(chars), 1)
