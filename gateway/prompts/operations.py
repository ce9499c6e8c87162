"""What templates can do with data: filters, tests, and the operations that Jinja's syntax is rewritten into.

Each is paid for out of the rendering's `Work`, in steps of some 100 ns, before or right after it is done, and none
makes more than `MOST_TEXT` characters. A text that is made from untrusted text is untrusted.
"""

import html
import math
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


def _work(context: Context) -> Work:
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
    work = _work(context)
    if isinstance(value, Untrusted):
        work.spend(len(value))
        return Counted([Untrusted(sign) for sign in value], steps, work)
    if isinstance(value, dict):
        return Counted(list(value), steps, work)
    if isinstance(value, list | tuple | range | str):
        return Counted(value, steps, work)
    raise Failed(f"a loop goes over a list, an object or a text, not {_kind(value)}")


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
    _work(context).spend(1)
    if _is_number(left) and _is_number(right):
        return _small(_ARITHMETIC[sign](left, right))
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return _text(context, [left, right])
    if sign == "+" and isinstance(left, list) and isinstance(right, list):
        _work(context).spend(len(left) + len(right))
        return left + right
    raise Failed(f"`{sign}` takes two numbers, not {_kind(left)} and {_kind(right)}")


@pass_context
def concat(context: Context, *values: Any) -> str:
    """`a ~ b ~ c`."""
    work = _work(context)
    return _text(context, [shown(value, work) for value in values])


@pass_context
def compare(context: Context, left: Any, how: str, right: Any) -> bool:
    _defined(left, right)
    work = _work(context)
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
        raise Failed(f"a slice is taken of a text or a list, not of {_kind(value)}")
    _work(context).spend(1 + len(value) // _CHARS_A_STEP)
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
    return value if isinstance(value, str) else _json(value, work, indent=indent)


def _json(value: Any, work: Work, *, indent: bool = False) -> str:
    _defined(value)
    if isinstance(value, range):
        value = list(value)
    work.look_at(value)
    text = to_json(value, indent=indent)
    return Untrusted(text) if holds_untrusted(value) else text


def _text(context: Context, pieces: Sequence[str]) -> str:
    size = sum(map(len, pieces))
    if size > MOST_TEXT:
        raise Failed(f"a text has more than {MOST_TEXT:,} characters")
    _work(context).spend(len(pieces) + size // _CHARS_A_STEP)
    joined = "".join(pieces)
    return Untrusted(joined) if any(isinstance(piece, Untrusted) for piece in pieces) else joined


def _defined(*values: Any) -> None:
    for value in values:
        if isinstance(value, Undefined):
            str(value)  # raises, and says what is missing


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _small(number: float) -> float:
    if isinstance(number, int) and abs(number) >= MOST_NUMBER:
        raise Failed("a number is larger than 64 bits")
    return number


def _kind(value: Any) -> str:
    _defined(value)
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", tuple: "a list", dict: "an object"}
    return "a text" if isinstance(value, str) else names.get(type(value), "this")


# ------------------------------------------------------------------ filters


def _of_text(work: Callable[..., str]) -> Callable[..., str]:
    """A filter of texts that makes no more than a few times its characters."""

    @pass_context
    def run(context: Context, value: Any, *arguments: Any, **named: Any) -> str:
        text = shown(value, _work(context))
        if len(text) > MOST_TEXT // 8:
            raise Failed(f"a filter is given a text of more than {MOST_TEXT // 8:,} characters")
        _work(context).look_at(text)
        made = work(text, *arguments, **named)
        _work(context).look_at(made)
        return Untrusted(made) if any(map(holds_untrusted, (text, *arguments, *named.values()))) else made

    return run


def _of_items(work: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that goes over the items of a value, and not into them."""

    @pass_context
    def run(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        _defined(value)
        _work(context).glance_at(value)
        return work(list(value) if isinstance(value, range) else value, *arguments, **named)

    return run


def _of_each(work: Callable[..., Any], *, steps: int = 0) -> Callable[..., Any]:
    """A filter that makes a list of a value, with so many `steps` of work for each item, and does not go into them."""

    @pass_context
    def run(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        _defined(value)
        left = _work(context)
        left.glance_at(value)
        left.take_apart(value)
        if isinstance(value, list | tuple | dict | range):
            left.spend(steps * len(value))
        return work(list(value) if isinstance(value, range) else value, *arguments, **named)

    return run


def _of_all(work: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that goes through all of a value once or, sorting it, a few times."""

    @pass_context
    def run(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        _defined(value)
        _work(context).look_at(value)
        _work(context).take_apart(value)
        return work(list(value) if isinstance(value, range) else value, *arguments, **named)

    return run


@pass_context
def _replace(context: Context, value: Any, old: str, new: str) -> str:
    text = shown(value, _work(context))
    if isinstance(old, str):
        _work(context).search(text, old)
    found: str = _REPLACED(context, text, old, new)
    return found


def _replaced(text: str, old: str, new: str) -> str:
    if not old:
        raise Failed("`replace` needs something to replace")
    if len(text) + text.count(old) * max(0, len(new) - len(old)) > MOST_TEXT:
        raise Failed(f"a text has more than {MOST_TEXT:,} characters")
    return text.replace(old, new)


_REPLACED = _of_text(_replaced)


def _truncate(text: str, length: int = 255, killwords: bool = False, end: str = "...") -> str:
    """At most `length` characters, cut between words unless `killwords`."""
    if length < 0 or len(text) <= length:
        return text
    head = text[: max(0, length - len(end))]
    return (head if killwords else head.rpartition(" ")[0] or head) + end


def _indent(text: str, width: int = 4, first: bool = False) -> str:
    if not 0 <= width <= 64 or len(text) + text.count("\n") * width > MOST_TEXT:
        raise Failed("`indent` takes a width from 0 to 64, and makes no text that is too long")
    return " " * (width if first else 0) + text.replace("\n", "\n" + " " * width)


@pass_context
def _tojson(context: Context, value: Any, indent: Any = None) -> str:
    return _json(value, _work(context), indent=bool(indent))


@pass_context
def _join(context: Context, value: Any, sign: str = "") -> str:
    if not isinstance(value, list | tuple | range):
        raise Failed(f"`join` takes a list, not {_kind(value)}")
    work = _work(context)
    work.spend(len(value))
    sign = shown(sign, work)
    pieces: list[str] = []
    for item in value:
        pieces += (sign, shown(item, work))
    return _text(context, pieces[1:])


@pass_context
def _default(context: Context, value: Any, instead: Any = "", boolean: bool = False) -> Any:
    return instead if isinstance(value, Undefined) or value is None or (boolean and not value) else value


@pass_context
def _wordcount(context: Context, value: Any) -> int:
    text = shown(value, _work(context))
    _work(context).look_at(text)
    return len(text.split())


def _sized(value: Any) -> int:
    if isinstance(value, str | list | tuple | dict):
        return len(value)
    raise Failed(f"only texts, lists and objects have a length, not {_kind(value)}")


def _list(value: Any) -> list[Any]:
    if isinstance(value, Untrusted):
        return [Untrusted(sign) for sign in value]
    if isinstance(value, str | list | tuple | dict):
        return list(value)
    raise Failed(f"this filter takes a list, not {_kind(value)}")


def _end(index: int) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        items = value if isinstance(value, str) else _list(value)
        if not items:
            raise Failed("an empty list has neither first nor last")
        return Untrusted(items[index]) if isinstance(value, Untrusted) else items[index]

    return run


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict):
        raise Failed(f"this filter takes an object, not {_kind(value)}")
    return list(value.items())


def _by(attribute: str | None) -> Callable[[Any], Any] | None:
    return None if attribute is None else lambda item: _item(item, attribute)


def _sort(value: Any, reverse: bool = False, attribute: str | None = None) -> list[Any]:
    return sorted(_list(value), key=_by(attribute), reverse=reverse)


def _item(value: Any, name: str) -> Any:
    if isinstance(value, dict) and name in value:
        return value[name]
    raise Failed("not every item of the list has the attribute that is asked for")


def _integer(value: Any, default: int = 0) -> int:
    try:
        return int(_small(int(value)) if not isinstance(value, str) or len(value) <= 20 else default)
    except (ValueError, TypeError, OverflowError):
        return default


def _float(value: Any, default: float = 0.0) -> float:
    try:
        return float(value) if not isinstance(value, str) or len(value) <= 40 else default
    except (ValueError, TypeError):
        return default


def _round(value: Any, digits: int = 0) -> float:
    if not _is_number(value) or not math.isfinite(value) or not 0 <= digits <= 15:
        raise Failed("`round` takes a number, and from 0 to 15 digits")
    return round(value, digits) if digits else int(_small(round(value)))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "abs": _of_items(abs),
    "capitalize": _of_text(str.capitalize),
    "d": _default,
    "default": _default,
    "dictsort": _of_all(lambda value: sorted(_pairs(value), key=operator.itemgetter(0))),
    "e": _of_text(html.escape),
    "escape": _of_text(html.escape),
    "first": _of_items(_end(0)),
    "float": _of_items(_float),
    "indent": _of_text(_indent),
    "int": _of_items(_integer),
    "items": _of_each(_pairs, steps=1),
    "join": _join,
    "keys": _of_each(lambda value: [key for key, _ in _pairs(value)], steps=1),
    "last": _of_items(_end(-1)),
    "length": _of_items(_sized),
    "list": _of_each(_list),
    "lower": _of_text(str.lower),
    "map": _of_each(lambda value, attribute: [_item(item, attribute) for item in _list(value)], steps=2),
    "max": _of_all(lambda value, attribute=None: max(_list(value), key=_by(attribute))),
    "min": _of_all(lambda value, attribute=None: min(_list(value), key=_by(attribute))),
    "replace": _replace,
    "reverse": _of_each(lambda value: _list(value)[::-1]),
    "round": _of_items(_round),
    "sort": _of_all(_sort),
    "string": _of_text(lambda text: text),
    "sum": _of_each(lambda value, attribute=None: _small(sum(_numbers(value, attribute))), steps=2),
    "title": _of_text(str.title),
    "tojson": _tojson,
    "trim": _of_text(str.strip),
    "truncate": _of_text(_truncate),
    "unique": _of_all(lambda value: list(dict.fromkeys(_list(value)))),
    "upper": _of_text(str.upper),
    "values": _of_each(lambda value: [item for _, item in _pairs(value)], steps=1),
    "wordcount": _wordcount,
}


def _numbers(value: Any, attribute: str | None) -> list[Any]:
    items = [_item(item, attribute) if attribute is not None else item for item in _list(value)]
    if not all(map(_is_number, items)):
        raise Failed("`sum` takes a list of numbers")
    return items


# ------------------------------------------------------------------ tests

TESTS: Mapping[str, Callable[..., bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "defined": lambda value: not isinstance(value, Undefined),
    "divisibleby": lambda value, number: _is_number(value) and _is_number(number) and value % number == 0,
    "even": lambda value: _is_number(value) and value % 2 == 0,
    "false": lambda value: value is False,
    "iterable": lambda value: isinstance(value, str | list | tuple | dict | range),
    "mapping": lambda value: isinstance(value, dict),
    "none": lambda value: value is None,
    "number": _is_number,
    "odd": lambda value: _is_number(value) and value % 2 == 1,
    "sequence": lambda value: isinstance(value, str | list | tuple | range),
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
    "undefined": lambda value: isinstance(value, Undefined),
}
