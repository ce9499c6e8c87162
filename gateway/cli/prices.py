"""`gateway prices`: what a token of a model costs here, who says so, and since when."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.accounting.cost import FULL_PRICE
from gateway.accounting.prices import Known, PriceTable
from gateway.cli.books import DEFAULT_FILE, loaded
from gateway.config.model import Config
from gateway.values import Rates, Target

_PICO_PER_USD_A_MILLION = 10**6
CLASSES = ("input", "cached_input", "cache_write", "output", "audio_input", "audio_output")


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("-c", "--config", "file", type=click.Path(path_type=Path, exists=True), help="[default: ./gateway.yaml]")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def prices(models: tuple[str, ...], file: Path | None, as_json: bool) -> None:
    """What a token of each MODEL costs, in USD per million.

    A MODEL is a name, or upstream/model as tiers name it. Without any, those of the configuration's tiers and prices
    are shown. A model without a price is never free: its calls are counted as unpriced, or refused (`unknown_price`).
    """
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    config = loaded(file).config if file is not None else None
    own, limits = (config.prices, config.model_limits) if config is not None else ({}, {})
    table = PriceTable.build(own, at=datetime.now(UTC), limits=limits)
    names = models or tuple(_named(config)) if config is not None else models
    if not names:
        raise click.UsageError("name a MODEL, or a configuration with --config")
    found = {name: table.known(_target(name)) for name in names}
    if as_json:
        click.echo(orjson.dumps({name: _as_json(known) for name, known in found.items()}, option=orjson.OPT_INDENT_2))
    else:
        click.echo("\n\n".join(_as_text(name, known) for name, known in found.items()))
        click.echo(f"\nUSD per million tokens; shipped prices are those of genai-prices {version('genai-prices')}.")
    if any(known.rates is None for known in found.values()):
        raise SystemExit(1)


def _named(config: Config) -> Iterator[str]:
    names = [target for targets in config.tiers.values() for target in targets]
    names += [name for name in config.prices if "*" not in name and "?" not in name]
    yield from dict.fromkeys(names)


def _target(name: str) -> Target:
    return Target.parse(name) if "/" in name else Target("", name)


def _as_text(name: str, known: Known) -> str:
    if known.rates is None:
        return f"{name}\n  no price known: calls are counted as unpriced; add one under `prices:`"
    lines = [name, f"  {'from':14}{_source(known)}", *_rates(known.rates)]
    for above, rates in known.rates.longer:
        lines += [f"  prompts of more than {above:,} tokens, the whole request:", *_rates(rates, "    ")]
    for service, share in known.rates.service_tiers.items():
        lines.append(f"  {service:14}{share / FULL_PRICE:g} times the price")
    if known.limits.context:
        lines.append(f"  {'context':14}{known.limits.context:,} tokens")
    return "\n".join(lines)


def _source(known: Known) -> str:
    if known.listed is None:
        return f"the configuration, prices: {known.own}"
    since = f", since {known.listed.since}" if known.listed.since else ""
    until = f", until {known.listed.until}" if known.listed.until else ""
    return f"the shipped table, {known.listed.provider}: {known.listed.name}{since}{until}"


def _rates(rates: Rates, indent: str = "  ") -> list[str]:
    shown = {name: getattr(rates, name) for name in CLASSES}
    return [f"{indent}{name:14}{usd_per_million(pico)}" for name, pico in shown.items() if pico is not None]


def usd_per_million(pico: int) -> str:
    """Exact: a pico-dollar a token is a millionth of a dollar per million."""
    whole, part = divmod(pico, _PICO_PER_USD_A_MILLION)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".")


def _as_json(known: Known) -> dict[str, Any] | None:
    if known.rates is None:
        return None
    listed = known.listed

    def of(rates: Rates) -> dict[str, str]:
        return {name: usd_per_million(pico) for name in CLASSES if (pico := getattr(rates, name)) is not None}

    return {
        **of(known.rates),
        "long_context": [{"above": above, **of(rates)} for above, rates in known.rates.longer],
        "service_tiers": {name: share / FULL_PRICE for name, share in known.rates.service_tiers.items()},
        "source": "configuration" if listed is None else listed.provider,
        "listed_as": known.own if listed is None else listed.name,
        "since": listed.since if listed else None,
        "until": listed.until if listed else None,
    }
