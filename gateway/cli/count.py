"""`gateway count`: what a prompt will cost, part by part, before anybody sends it.

counts ── FILE or - ── one body, or one a line ── for each model: parts, total, price
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

import click
import orjson

from gateway.accounting.prices import PriceTable
from gateway.cli.bodies import requests_in
from gateway.tokens.count import CountedPart, TokenCounter, estimate_of
from gateway.tokens.encodings import Encodings
from gateway.values import NANO, Estimate, Request, Target

_PICO_IN_NANO = 1000


@dataclass(frozen=True, slots=True)
class Count:
    """One request, counted for one model."""

    line: int
    model: str
    parts: Sequence[CountedPart]
    estimate: Estimate
    nanousd: int | None
    """What the prompt costs; None where no price is known."""


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--model", "-m", "models", multiple=True, help="Count for this model instead of the body's own; repeatable."
)
@click.option(
    "--budget", type=click.IntRange(min=0), metavar="N", help="Exit with 1 if a prompt has more than N tokens."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output, one object a line.")
def count(file: BinaryIO, models: tuple[str, ...], budget: int | None, as_json: bool) -> None:
    """Count the prompt tokens of a request body, part by part, and price them.

    FILE (or - for standard input) is the JSON body of a chat completion, completion, embeddings or
    Responses request, or one such body a line. Beside each count stands how far it can be trusted:
    exact (a published rule), fitted (a rule fitted on real usage) or bound (something cannot be seen).
    """
    counter = TokenCounter(Encodings())
    prices = PriceTable.build({}, at=datetime.now(UTC))
    counts = [
        _count(line, request, model, counter, prices)
        for line, request in requests_in(file)
        for model in models or (request.model,)
    ]
    counter.close()
    has_lines = len({counted.line for counted in counts}) > 1
    show = _as_json if as_json else _as_line if has_lines else _as_table
    for counted in counts:
        click.echo(show(counted))
    if has_lines and not as_json:
        click.echo(f"{'total':24}{sum(counted.estimate.prompt_tokens for counted in counts):12,} tokens")
    over = [counted for counted in counts if budget is not None and counted.estimate.prompt_tokens > budget]
    for counted in over:
        click.echo(
            f"line {counted.line}: {counted.estimate.prompt_tokens:,} tokens, the budget is {budget:,}", err=True
        )
    if over:
        raise SystemExit(1)


def _count(line: int, request: Request, model: str, counter: TokenCounter, prices: PriceTable) -> Count:
    parts = counter.parts(request, model)
    estimate = estimate_of(parts, request)
    rates = prices.rates(Target.parse(model) if "/" in model else Target("", model))
    nanousd = None if rates is None else round(estimate.prompt_tokens * rates.input / _PICO_IN_NANO)
    return Count(line, model, parts, estimate, nanousd)


# ------------------------------------------------------------------ out


def _as_table(counted: Count) -> str:
    width = max(24, *(len(part.label) + 2 for part in counted.parts))
    lines = [f"{part.label:{width}}{part.tokens:12,}  {part.kind}" for part in counted.parts]
    total = f"{'total':{width}}{counted.estimate.prompt_tokens:12,}  {counted.estimate.kind:8}{_price(counted)}"
    return "\n".join([f"{counted.model}", *lines, total, ""])


def _as_line(counted: Count) -> str:
    estimate = counted.estimate
    label = f"line {counted.line}"
    return f"{label:24}{estimate.prompt_tokens:12,}  {estimate.kind:8}{_price(counted):>16}  {counted.model}"


def _price(counted: Count) -> str:
    if counted.nanousd is None:
        return "no price known"
    return f"${counted.nanousd / NANO:.{6 if counted.nanousd >= NANO // 1_000_000 else 9}f}"


def _as_json(counted: Count) -> str:
    found = {
        "line": counted.line,
        "model": counted.model,
        "prompt_tokens": counted.estimate.prompt_tokens,
        "kind": counted.estimate.kind,
        "completion_tokens": counted.estimate.completion_tokens,
        "prompt_usd": None if counted.nanousd is None else counted.nanousd / NANO,
        "parts": [part._asdict() for part in counted.parts],
    }
    return orjson.dumps(found).decode()
