"""The ledger beside a provider's own figures, per day and model: where they drift apart, and by how much.

Two kinds of file are read, as OpenAI's dashboard exports them and as its usage and costs APIs name their fields:

    usage   start_time, model, num_model_requests, input_tokens, input_cached_tokens, output_tokens
    cost    start_time, line_item ("gpt-5-mini-2025-08-07, input"), amount_value, amount_currency

Columns are known by name, in any order; others are ignored. A file may hold both. Amounts are read as decimals.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TextIO

from gateway.values import NANO

_DATE = ("start_time_iso", "start_time", "date", "day", "usage_date", "timestamp")
_MODEL = ("model", "snapshot_id", "line_item")
_COUNTS = {
    "requests": ("num_model_requests", "n_requests", "requests"),
    "input_tokens": ("input_tokens", "n_context_tokens_total", "prompt_tokens"),
    "cached_input_tokens": ("input_cached_tokens", "n_cached_context_tokens_total", "cached_tokens"),
    "output_tokens": ("output_tokens", "n_generated_tokens_total", "completion_tokens"),
}
_COST = ("amount_value", "cost_usd", "cost", "amount")
_CURRENCY = ("amount_currency", "currency")
_SNAPSHOT = re.compile(r"-\d{4}-\d\d-\d\d$|-\d{8}$")


class Unreadable(Exception):
    """The file is no export that can be read; the message says what was missed, and where."""


@dataclass(slots=True)
class Billed:
    """What a day and model came to; None: the file does not say."""

    requests: int | None = None
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanousd: int | None = None

    def add(self, other: "Billed") -> None:
        for each in fields(Billed):
            value = getattr(other, each.name)
            if value is not None:
                setattr(self, each.name, (getattr(self, each.name) or 0) + value)


Key = tuple[str, str]
"""Day in UTC and model."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One day and model on both sides; None: that side does not have it."""

    day: str
    model: str
    theirs: Billed | None
    ours: Billed | None

    def drift(self) -> float:
        """The largest gap of any figure that both sides have, as a share of theirs; 1 where one side has nothing."""
        if self.theirs is None or self.ours is None:
            return 1.0
        shares = [0.0]
        for each in fields(Billed):
            theirs, ours = getattr(self.theirs, each.name), getattr(self.ours, each.name)
            if theirs is not None and ours is not None and theirs != ours:
                shares.append(abs(ours - theirs) / max(abs(theirs), 1))
        return max(shares)


def read_export(file: TextIO) -> dict[Key, Billed]:
    """Sums by day and model. Raises Unreadable."""
    try:
        return _sums(csv.DictReader(file))
    except UnicodeError:
        raise Unreadable("expected text in UTF-8, got other bytes") from None
    except csv.Error as error:
        raise Unreadable(f"expected a table of comma-separated values: {error}") from None


def _sums(reader: "csv.DictReader[str]") -> dict[Key, Billed]:
    names = {name.strip().lower(): name for name in reader.fieldnames or ()}
    date, model = _column(names, _DATE), _column(names, _MODEL)
    known = {figure: column for figure, choices in _COUNTS.items() if (column := _column(names, choices))}
    cost, currency = _column(names, _COST), _column(names, _CURRENCY)
    if date is None or model is None or not (known or cost):
        raise Unreadable(
            f"expected columns for the day ({', '.join(_DATE[:3])}), the model ({', '.join(_MODEL)})"
            f" and tokens or cost, got: {', '.join(reader.fieldnames or ['an empty file'])}"
        )
    found: dict[Key, Billed] = {}
    for number, row in enumerate(reader, 2):
        try:
            if currency and (row[currency] or "usd").lower() != "usd":
                raise Unreadable(f"line {number}: expected amounts in USD, got {row[currency]}")
            billed = Billed(**{figure: _whole(row[column]) for figure, column in known.items()})
            billed.cost_nanousd = _nanousd(row[cost]) if cost else None
            key = (_day(row[date]), _model(row[model]))
        except (ValueError, InvalidOperation, OverflowError, TypeError):
            raise Unreadable(f"line {number}: expected a day, a model and numbers, got {list(row.values())}") from None
        if key[1]:
            found.setdefault(key, Billed()).add(billed)
    return found


def compare(theirs: Mapping[Key, Billed], ours: Mapping[Key, Billed]) -> list[Difference]:
    """By day and model. Models are joined without the date of their snapshot where only one side names it."""
    theirs, ours = _joined(theirs, ours), _joined(ours, theirs)
    keys = sorted({*theirs, *ours})
    return [Difference(day, model, theirs.get((day, model)), ours.get((day, model))) for day, model in keys]


def _joined(mine: Mapping[Key, Billed], others: Mapping[Key, Billed]) -> dict[Key, Billed]:
    known = {model for _, model in others}
    joined: dict[Key, Billed] = {}
    for (day, model), billed in mine.items():
        family = _SNAPSHOT.sub("", model)
        joined.setdefault((day, model if model in known else family), Billed()).add(billed)
    return joined


def total(of: Iterable[Billed | None]) -> Billed:
    whole = Billed()
    for billed in of:
        if billed is not None:
            whole.add(billed)
    return whole


def _column(names: Mapping[str, str], choices: Iterable[str]) -> str | None:
    return next((names[choice] for choice in choices if choice in names), None)


def _whole(text: str | None) -> int | None:
    return int(Decimal(text)) if text else None


def _nanousd(text: str | None) -> int | None:
    return int((Decimal(text) * NANO).to_integral_value()) if text else None


def _day(text: str) -> str:
    """From Unix seconds, a date, or a time with one."""
    text = text.strip()
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return f"{datetime.fromtimestamp(float(text), UTC):%Y-%m-%d}"
    at = datetime.fromisoformat(text)
    return f"{at.astimezone(UTC) if at.tzinfo else at:%Y-%m-%d}"


def _model(text: str | None) -> str:
    """Of a cost export's line item, what stands before the comma: `gpt-5-mini-2025-08-07, cached input`."""
    return (text or "").partition(",")[0].strip()
