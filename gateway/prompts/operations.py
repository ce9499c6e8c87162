"""What a template's work costs, and the operations that Jinja's syntax is rewritten into; filters are in `filters.py`.

Each is paid for out of the rendering's `Work`, in steps of some 100 ns, before or right after it is done, and none
makes more than `MOST_TEXT` characters. A text that is made from untrusted text is untrusted.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

from gateway.prompts.data import Untrusted, holds_untrusted, to_json

WORK = " work"
"""Where a context keeps its `Work`: no template can write this name."""
MOST_WORK = 100_000
"""Steps of one rendering: 10 to 20 ms of the worst there is, where prompts of people take some hundred."""
MOST_TEXT = 10_000_000
"""Characters of any one text on the way, and of all that is rendered."""
MOST_ITEMS = 10_000
"""Of a `range`."""
MOST_NUMBER = 1 << 63
_CHARS_A_STEP = 64
"""Of text that an operation looks at or makes."""
_COMPARED_A_STEP = 512
"""Characters that a search for one text in another holds against each other."""
_SIGN, _UNTRUSTED_SIGN = 1, 3
"""Steps for each character of a text that becomes a list of them."""


class Failed(Exception):
    """A rendering that cannot go on. The message holds nothing of what its variables hold."""


class Work:
    """What one rendering may still do."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_WORK

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise Failed(f"rendering takes more than the {MOST_WORK:,} steps that a prompt may take")

    def look_at(self, value: Any) -> None:
        """Pay for going through all of `value`: a list that holds another twice, and that yet another, can be a few
        objects and no end of text."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                self.spend(1 + len(one) // _CHARS_A_STEP)
            elif isinstance(one, list | tuple):
                self.spend(1 + len(one))
                waiting += one
            elif isinstance(one, range):
                self.spend(1 + len(one))
            elif isinstance(one, dict):
                self.spend(1 + len(one))
                waiting += one
                waiting += one.values()
            else:
                self.spend(1)

    def glance_at(self, value: Any) -> None:
        """Pay for copying the items of `value`, without going into them."""
        self.spend(1 + len(value) // 16 if isinstance(value, list | tuple | dict | range) else 1)

    def take_apart(self, value: Any) -> None:
        """Pay for the characters of `value`, where it is a text that becomes a list."""
        if isinstance(value, str):
            self.spend(len(value) * (_UNTRUSTED_SIGN if isinstance(value, Untrusted) else _SIGN))

    def search(self, text: str, sought: str) -> None:
        """Pay for looking for `sought` in `text`.

        Where either is short CPython compares it at every place, which can take the product of their lengths; only
        beyond that is its search linear (`Objects/stringlib/fastsearch.h`).
        """
        compared = min(len(sought), 2_500 if len(text) < 2_500 else 100 if len(text) < 30_000 else 6)
        self.spend(1 + len(text) // _CHARS_A_STEP + len(text) * compared // _COMPARED_A_STEP)


def work_of(context: Context) -> Work:
    work = context.parent[WORK]
    assert isinstance(work, Work)
    return work


# ------------------------------------------------------------------ what the syntax becomes


class Counted:
    """A loop's items, each of them paid for as it comes."""

    def __init__(self, items: Sequence[Any], steps: int, work: Work) -> None:
        self._items, self._steps, self._work = items, steps, work

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self._work.spend(self._steps)
            yield item


@pass_context
def counted(context: Context, value: Any, steps: int) -> Counted:
    """`value` for a loop whose body has so many nodes."""
    work = work_of(context)
    if isinstance(value, Untrusted):
        work.spend(len(value))
        return Counted([Untrusted(sign) for sign in value], steps, work)
    if isinstance(value, dict):
        return Counted(list(value), steps, work)
    if isinstance(value, list | tuple | range | str):
        return Counted(value, steps, work)
    raise Failed(f"a loop goes over a list, an object or a text, not {kind_of(value)}")


@pass_context
def numbers(context: Context, *bounds: Any) -> range:
    """`range(…)`."""
    if not all(type(bound) is int for bound in bounds):
        raise Failed("`range` takes whole numbers")
    found = range(*bounds)
    if len(found) > MOST_ITEMS:
        raise Failed(f"`range` has more than {MOST_ITEMS:,} items")
    return found


@pass_context
def binary(context: Context, left: Any, sign: str, right: Any) -> Any:
    work_of(context).spend(1)
    if is_number(left) and is_number(right):
        return in_range(_ARITHMETIC[sign](left, right))
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return text_of(context, [left, right])
    if sign == "+" and isinstance(left, list) and isinstance(right, list):
        work_of(context).spend(len(left) + len(right))
        return left + right
    raise Failed(f"`{sign}` takes two numbers, not {kind_of(left)} and {kind_of(right)}")


@pass_context
def concat(context: Context, *values: Any) -> str:
    """`a ~ b ~ c`."""
    work = work_of(context)
    return text_of(context, [shown(value, work) for value in values])


@pass_context
def compare(context: Context, left: Any, how: str, right: Any) -> bool:
    check_defined(left, right)
    work = work_of(context)
    work.look_at(left)
    if isinstance(right, str) and how in ("in", "notin") and isinstance(left, str):
        work.search(right, left)
    elif isinstance(right, list | tuple) and how in ("in", "notin") and isinstance(left, str):
        work.spend(len(right) * (1 + len(left) // _CHARS_A_STEP))
    elif not (isinstance(right, dict) and how in ("in", "notin")):
        work.look_at(right)
    return bool(_COMPARISONS[how](left, right))


@pass_context
def cut(context: Context, value: Any, start: Any, stop: Any, step: Any) -> Any:
    """`value[start:stop:step]`."""
    if not isinstance(value, str | list | tuple):
        raise Failed(f"a slice is taken of a text or a list, not of {kind_of(value)}")
    work_of(context).spend(1 + len(value) // _CHARS_A_STEP)
    found = value[start:stop:step]
    return Untrusted(found) if isinstance(value, Untrusted) else found


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
INNER: Mapping[str, Callable[..., Any]] = {
    "0counted": counted,
    "0range": numbers,
    "0binary": binary,
    "0concat": concat,
    "0compare": compare,
    "0slice": cut,
}


# ------------------------------------------------------------------ values


def shown(value: Any, work: Work, *, indent: bool = False) -> str:
    """`value` as it is printed: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json_of(value, work, indent=indent)


def json_of(value: Any, work: Work, *, indent: bool = False) -> str:
    check_defined(value)
    if isinstance(value, range):
        value = list(value)
    work.look_at(value)
    text = to_json(value, indent=indent)
    return Untrusted(text) if holds_untrusted(value) else text


def text_of(context: Context, pieces: Sequence[str]) -> str:
    size = sum(map(len, pieces))
    if size > MOST_TEXT:
        raise Failed(f"a text has more than {MOST_TEXT:,} characters")
    work_of(context).spend(len(pieces) + size // _CHARS_A_STEP)
    joined = "".join(pieces)
    return Untrusted(joined) if any(isinstance(piece, Untrusted) for piece in pieces) else joined


def check_defined(*values: Any) -> None:
    for value in values:
        if isinstance(value, Undefined):
            str(value)  # raises, and says what is missing


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def in_range(number: float) -> float:
    if isinstance(number, int) and abs(number) >= MOST_NUMBER:
        raise Failed("a number is larger than 64 bits")
    return number


def kind_of(value: Any) -> str:
    check_defined(value)
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", tuple: "a list", dict: "an object"}
    return "a text" if isinstance(value, str) else names.get(type(value), "this")
