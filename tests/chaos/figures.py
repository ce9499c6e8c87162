"""What a chaos run measured, beside what is promised."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    measured: str
    promised: str
    holds: bool


def table(figures: Iterable[Figure]) -> str:
    rows = [
        (figure.what, figure.measured, figure.promised, "" if figure.holds else "  <-- NOT KEPT") for figure in figures
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return "".join(
        f"{what:<{widths[0]}}  {measured:>{widths[1]}}  {promised:<{widths[2]}}{verdict}\n"
        for what, measured, promised, verdict in rows
    )
