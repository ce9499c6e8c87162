"""The filters and tests of templates: Jinja's, as far as prompts need them, each paid for (`operations.py`)."""

import html
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

from gateway.prompts.data import Untrusted, holds_untrusted
from gateway.prompts.operations import (
    MOST_TEXT,
    Failed,
    check_defined,
    in_range,
    is_number,
    json_of,
    kind_of,
    shown,
    text_of,
    work_of,
)


def _of_text(work: Callable[..., str]) -> Callable[..., str]:
    """A filter of texts that makes no more than a few times its characters."""

    @pass_context
    def run(context: Context, value: Any, *arguments: Any, **named: Any) -> str:
        text = shown(value, work_of(context))
        if len(text) > MOST_TEXT // 8:
            raise Failed(f"a filter is given a text of more than {MOST_TEXT // 8:,} characters")
        work_of(context).look_at(text)
        made = work(text, *arguments, **named)
        work_of(context).look_at(made)
        return Untrusted(made) if any(map(holds_untrusted, (text, *arguments, *named.values()))) else made

    return run


def _of_items(work: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that goes over the items of a value, and not into them."""

    @pass_context
    def run(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        check_defined(value)
        work_of(context).glance_at(value)
        return work(list(value) if isinstance(value, range) else value, *arguments, **named)

    return run


def _of_each(work: Callable[..., Any], *, steps: int = 0) -> Callable[..., Any]:
    """A filter that makes a list of a value, with so many `steps` of work for each item, and does not go into them."""

    @pass_context
    def run(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        check_defined(value)
        left = work_of(context)
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
        check_defined(value)
        work_of(context).look_at(value)
        work_of(context).take_apart(value)
        return work(list(value) if isinstance(value, range) else value, *arguments, **named)

    return run


@pass_context
def _replace(context: Context, value: Any, old: str, new: str) -> str:
    text = shown(value, work_of(context))
    if isinstance(old, str):
        work_of(context).search(text, old)
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
    return json_of(value, work_of(context), indent=bool(indent))


@pass_context
def _join(context: Context, value: Any, sign: str = "") -> str:
    if not isinstance(value, list | tuple | range):
        raise Failed(f"`join` takes a list, not {kind_of(value)}")
    work = work_of(context)
    work.spend(len(value))
    sign = shown(sign, work)
    pieces: list[str] = []
    for item in value:
        pieces += (sign, shown(item, work))
    return text_of(context, pieces[1:])


@pass_context
def _default(context: Context, value: Any, instead: Any = "", boolean: bool = False) -> Any:
    return instead if isinstance(value, Undefined) or value is None or (boolean and not value) else value


@pass_context
def _wordcount(context: Context, value: Any) -> int:
    text = shown(value, work_of(context))
    work_of(context).look_at(text)
    return len(text.split())


def _sized(value: Any) -> int:
    if isinstance(value, str | list | tuple | dict):
        return len(value)
    raise Failed(f"only texts, lists and objects have a length, not {kind_of(value)}")


def _list(value: Any) -> list[Any]:
    if isinstance(value, Untrusted):
        return [Untrusted(sign) for sign in value]
    if isinstance(value, str | list | tuple | dict):
        return list(value)
    raise Failed(f"this filter takes a list, not {kind_of(value)}")


def _end(index: int) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        items = value if isinstance(value, str) else _list(value)
        if not items:
            raise Failed("an empty list has neither first nor last")
        return Untrusted(items[index]) if isinstance(value, Untrusted) else items[index]

    return run


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict):
        raise Failed(f"this filter takes an object, not {kind_of(value)}")
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
        return int(in_range(int(value)) if not isinstance(value, str) or len(value) <= 20 else default)
    except (ValueError, TypeError, OverflowError):
        return default


def _float(value: Any, default: float = 0.0) -> float:
    try:
        return float(value) if not isinstance(value, str) or len(value) <= 40 else default
    except (ValueError, TypeError):
        return default


def _round(value: Any, digits: int = 0) -> float:
    if not is_number(value) or not math.isfinite(value) or not 0 <= digits <= 15:
        raise Failed("`round` takes a number, and from 0 to 15 digits")
    return round(value, digits) if digits else int(in_range(round(value)))


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
    "sum": _of_each(lambda value, attribute=None: in_range(sum(_numbers(value, attribute))), steps=2),
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
    if not all(map(is_number, items)):
        raise Failed("`sum` takes a list of numbers")
    return items


# ------------------------------------------------------------------ tests

TESTS: Mapping[str, Callable[..., bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "defined": lambda value: not isinstance(value, Undefined),
    "divisibleby": lambda value, number: is_number(value) and is_number(number) and value % number == 0,
    "even": lambda value: is_number(value) and value % 2 == 0,
    "false": lambda value: value is False,
    "iterable": lambda value: isinstance(value, str | list | tuple | dict | range),
    "mapping": lambda value: isinstance(value, dict),
    "none": lambda value: value is None,
    "number": is_number,
    "odd": lambda value: is_number(value) and value % 2 == 1,
    "sequence": lambda value: isinstance(value, str | list | tuple | range),
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
    "undefined": lambda value: isinstance(value, Undefined),
}
