"""`gateway waste`: tokens that are paid for in vain, in a file of requests or in what a gateway has served.

FILE ── each request ── fragments, shared beginning, length ─┐
/metrics of a running gateway ── its counters by route ──────┴── tokens and dollars by kind
"""

import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

import click
import orjson
from prometheus_client.parser import text_string_to_metric_families

from gateway.accounting.cost import waste_nanousd
from gateway.accounting.prices import PriceTable
from gateway.cli.bodies import requests_in
from gateway.tokens.count import TokenCounter, estimate_of
from gateway.tokens.encodings import Encodings
from gateway.tokens.lengths import Lengths
from gateway.tokens.prefix import Prefixes
from gateway.tokens.waste import KINDS, Fragment, cost_of, fragments, texts_of
from gateway.values import NANO, Request, Target

_MILLION = 1_000_000
_PLACES = 20
_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Place:
    """A fragment, where it is and what it costs; its text is not shown, for logs of builds are read by many."""

    line: int
    fragment: Fragment
    tokens: int


@dataclass(slots=True)
class Report:
    """What one route's requests came to, or one file's."""

    name: str
    requests: int = 0
    prompt_tokens: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    """By kind."""
    nanousd: Counter[str] = field(default_factory=Counter)
    is_priced: bool = True
    """False where the dollars of some tokens are not known."""
    places: list[Place] = field(default_factory=list)
    long_lines: list[int] = field(default_factory=list)
    long_prompts: int = 0


@click.command()
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--model", "-m", help="Count and price for this model instead of each body's own.")
@click.option("--admin", default="http://127.0.0.1:8081", show_default=True, help="Without FILE: whom to ask.")
@click.option("--places", default=_PLACES, show_default=True, type=click.IntRange(min=0), help="Fragments to show.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output: one object for each route or file.")
def waste(file: BinaryIO | None, model: str | None, admin: str, places: int, as_json: bool) -> None:
    """Find tokens that are paid for in vain.

    FILE (or - for standard input) holds request bodies, one a line; each fragment is located by line, message and
    offset. Without FILE the running gateway is asked what it has seen since it started, by route.
    """
    reports = [_of_file(file, model)] if file is not None else list(_of_gateway(admin))
    for report in reports:
        click.echo(orjson.dumps(_as_json(report)).decode() if as_json else _as_text(report, places))
    if not reports and not as_json:
        click.echo("No prompts have been served yet.")


# ------------------------------------------------------------------ a file


def _of_file(file: BinaryIO, model: str | None) -> Report:
    report = Report(getattr(file, "name", "-"))
    counter = TokenCounter(Encodings())
    prices = PriceTable.build({}, at=datetime.now(UTC))
    prefixes, lengths = Prefixes(), Lengths()
    for line, request in requests_in(file):
        _add(report, line, request, model or request.model, counter, prices, prefixes)
        tokens = estimate_of(counter.parts(request, model or request.model), request).prompt_tokens
        report.prompt_tokens += tokens
        if lengths.is_unusual(report.name, tokens):
            report.long_lines.append(line)
    counter.close()
    report.long_prompts = len(report.long_lines)
    report.places.sort(key=lambda place: place.tokens, reverse=True)
    return report


def _add(
    report: Report,
    line: int,
    request: Request,
    model: str,
    counter: TokenCounter,
    prices: PriceTable,
    prefixes: Prefixes,
) -> None:
    texts, count = texts_of(request), counter.measure(model)
    by_label = dict(texts)
    found = [Place(line, one, cost_of(by_label[one.label], one, count)) for one in fragments(texts)]
    report.places += [place for place in found if place.tokens]
    tokens = Counter({"prefix": prefixes.shared(texts, count)})
    for place in found:
        tokens[place.fragment.kind] += place.tokens
    rates = prices.rates(Target.parse(model) if "/" in model else Target("", model))
    report.requests += 1
    report.tokens.update(tokens)
    report.nanousd.update(waste_nanousd(tokens, rates))
    report.is_priced = report.is_priced and rates is not None


# ------------------------------------------------------------------ a running gateway


def _of_gateway(admin: str) -> Iterator[Report]:
    if not admin.startswith(("http://", "https://")):
        raise click.UsageError("--admin must be an http(s) URL, such as http://127.0.0.1:8081.")
    try:
        with urllib.request.urlopen(f"{admin.rstrip('/')}/metrics", timeout=_TIMEOUT_S) as answer:  # noqa: S310
            text = answer.read().decode()
    except OSError as error:
        raise click.ClickException(
            f"no gateway answers at {admin} ({error}); is it running, is --admin right?"
        ) from None
    yield from reports_of(text)


def reports_of(metrics: str) -> Iterator[Report]:
    """One report for each route in an exposition of ours."""
    reports: dict[str, Report] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            route = sample.labels.get("route", "none")
            if route == "none":
                continue
            report = reports.setdefault(route, Report(route))
            match sample.name:
                case "gateway_prompt_tokens_sum":
                    report.prompt_tokens = int(sample.value)
                case "gateway_prompt_tokens_count":
                    report.requests = int(sample.value)
                case "gateway_wasted_tokens_total":
                    report.tokens[sample.labels["kind"]] = int(sample.value)
                case "gateway_wasted_usd_total":
                    report.nanousd[sample.labels["kind"]] = round(sample.value * NANO)
                case "gateway_prompt_length_anomalies_total":
                    report.long_prompts = int(sample.value)
    for report in reports.values():
        report.is_priced = report.tokens.keys() <= report.nanousd.keys()
        if report.requests:
            yield report


# ------------------------------------------------------------------ out


def _as_text(report: Report, places: int) -> str:
    wasted = sum(report.tokens.values())
    share = wasted / report.prompt_tokens if report.prompt_tokens else 0.0
    total = f"{report.requests:,} requests, {report.prompt_tokens:,} tokens"
    lines = [
        f"{report.name}: {total}, {wasted:,} wasted ({share:.1%})",
        f"{'kind':12}{'tokens':>12}{'USD':>16}{'USD per million requests':>28}",
        *(_row(report, kind) for kind in KINDS if report.tokens[kind]),
    ]
    if report.long_prompts:
        where = f": lines {_some(report.long_lines)}" if report.long_lines else ""
        lines.append(f"{report.long_prompts:,} prompts unusually long{where}")
    for place in report.places[:places]:
        one = place.fragment
        lines.append(
            f"  line {place.line}  {one.label}  offset {one.start:,}, {one.end - one.start:,} characters"
            f"  {one.kind}  {place.tokens:,} tokens"
        )
    if len(report.places) > places:
        lines.append(f"  and {len(report.places) - places:,} more places (--places)")
    return "\n".join([*lines, ""])


def _row(report: Report, kind: str) -> str:
    if kind not in report.nanousd:
        return f"{kind:12}{report.tokens[kind]:12,}{'no price known':>16}"
    usd = report.nanousd[kind] / NANO
    at_least = "" if report.is_priced else "  at least"
    return f"{kind:12}{report.tokens[kind]:12,}{usd:16.6f}{usd / report.requests * _MILLION:28,.2f}{at_least}"


def _some(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines[:_PLACES])) + (", …" if len(lines) > _PLACES else "")


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "name": report.name,
        "requests": report.requests,
        "prompt_tokens": report.prompt_tokens,
        "wasted": {kind: _kind(report, kind) for kind in KINDS if report.tokens[kind]},
        "unusually_long": report.long_prompts,
        "unusually_long_lines": report.long_lines,
        "places": [
            {
                "line": place.line,
                "label": place.fragment.label,
                "offset": place.fragment.start,
                "characters": place.fragment.end - place.fragment.start,
                "kind": place.fragment.kind,
                "tokens": place.tokens,
            }
            for place in report.places
        ],
    }


def _kind(report: Report, kind: str) -> dict[str, float | None]:
    usd = report.nanousd[kind] / NANO if kind in report.nanousd else None
    per_million = None if usd is None else usd / report.requests * _MILLION
    return {"tokens": report.tokens[kind], "usd": usd, "usd_per_million_requests": per_million}
