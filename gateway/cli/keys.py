"""`gateway keys`: keys at run time, through the admin API of a running gateway."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import click
import orjson

from gateway.cli.admin import AdminApi, admin_option

_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,6})([mhd])")
_PAGE = 1000


@click.group()
def keys() -> None:
    """Issue, list, rotate and revoke keys of a running gateway.

    Its admin key is read from GATEWAY_ADMIN_KEY. A change holds within a second, on every replica that shares the
    ledger's database.
    """


_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@keys.command(short_help="issue a key")
@click.argument("name")
@click.option("--team", help="Who pays, and whose limits hold too.")
@click.option("--issuer", help="The key that it is issued under, and never exceeds.")
@click.option("--route", "routes", multiple=True, help="A route that it may use; default: all. May be repeated.")
@click.option("--model", "models", multiple=True, help="A model it may name, * and ? match; default: all.")
@click.option("--passthrough", multiple=True, help="A path it may pass through, such as /v1/audio/*.")
@click.option("--budget", "budgets", multiple=True, metavar="50usd/day", help="Or 1000000tokens/month; hour, total.")
@click.option("--requests-per-minute", type=click.IntRange(min=1))
@click.option("--tokens-per-minute", type=click.IntRange(min=1))
@click.option("--concurrent", type=click.IntRange(min=1))
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="For people; may be repeated.")
@click.option("--expires", metavar="30d|DATE", help="After 90m, 12h or 30d, or at a time such as 2027-01-31.")
@_as_json
@admin_option
def create(name: str, admin: str, as_json: bool, **options: Any) -> None:
    """Issue a key. Its secret is shown this once and kept nowhere."""
    created = AdminApi(admin).post("/admin/keys", _description(name, options))
    _show_secret(created, as_json=as_json)


@keys.command("list", short_help="keys that were issued, those revoked included")
@click.option("--team", help="Only those of one team.")
@_as_json
@admin_option
def list_(admin: str, as_json: bool, team: str | None) -> None:
    """Keys that were issued, those revoked included."""
    found = list(_all(AdminApi(admin), team))
    if as_json:
        click.echo(orjson.dumps(found).decode())
        return
    rows = [["name", "state", "team", "budgets", "expires"]]
    rows += [
        [key["name"], key["state"], key["team"] or "-", _budgets(key) or "-", key["expires_at"] or "never"]
        for key in found
    ]
    _table(rows)


@keys.command(short_help="what one key may do and spend")
@click.argument("name")
@_as_json
@admin_option
def show(name: str, admin: str, as_json: bool) -> None:
    """What one key may do and spend."""
    _show(AdminApi(admin).get(_path(name)), as_json=as_json)


@keys.command(short_help="give a key a new secret, shown this once")
@click.argument("name")
@click.option("--grace", default="0m", metavar="12h", help="How long the secret before goes on; default: not at all.")
@_as_json
@admin_option
def rotate(name: str, grace: str, admin: str, as_json: bool) -> None:
    """Give a key a new secret, shown this once."""
    rotated = AdminApi(admin).post(_path(name) + "/rotate", {"grace_s": _seconds(grace, "--grace")})
    _show_secret(rotated, as_json=as_json)


@keys.command(short_help="end a key, and those issued under it, for good")
@click.argument("name")
@_as_json
@admin_option
def revoke(name: str, admin: str, as_json: bool) -> None:
    """End a key, and those issued under it, for good."""
    _show(AdminApi(admin).post(_path(name) + "/revoke"), as_json=as_json)


# ------------------------------------------------------------------ what is sent


def _description(name: str, options: dict[str, Any]) -> dict[str, Any]:
    limits = {field: options[field] for field in ("requests_per_minute", "tokens_per_minute", "concurrent")}
    fields: dict[str, Any] = {
        "name": name,
        "team": options["team"],
        "issuer": options["issuer"],
        "routes": options["routes"],
        "models": options["models"],
        "passthrough": options["passthrough"],
        "budgets": [_budget(text) for text in options["budgets"]],
        "limits": {field: value for field, value in limits.items() if value is not None},
        "tags": dict(_tag(text) for text in options["tags"]),
        "expires_at": None if options["expires"] is None else _time(options["expires"]),
    }
    return {field: value for field, value in fields.items() if value}


def _budget(text: str) -> dict[str, Any]:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(usd|tokens)/(hour|day|month|total)", text)
    if match is None:
        raise click.BadParameter(f"expected one like 50usd/day or 1000000tokens/month, got '{text}'")
    amount, unit, per = match.groups()
    if unit == "tokens" and "." in amount:
        raise click.BadParameter(f"expected whole tokens, got '{text}'")
    return {unit: float(amount) if unit == "usd" else int(amount), "per": per}


def _tag(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter(f"expected NAME=VALUE, got '{text}'")
    return name, value


def _time(text: str) -> str:
    if _DURATION.fullmatch(text):
        return (datetime.now(UTC) + timedelta(seconds=_seconds(text, "--expires"))).isoformat()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"expected 90m, 12h, 30d or a time such as 2027-01-31, got '{text}'") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def _seconds(text: str, option: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{option}: expected 90m, 12h or 30d, got '{text}'")
    return int(match[1]) * _UNITS[match[2]]


def _path(name: str) -> str:
    return "/admin/keys/" + quote(name, safe="")


def _all(api: AdminApi, team: str | None) -> Iterator[dict[str, Any]]:
    query = {"limit": str(_PAGE), **({"team": team} if team else {})}
    after: str | None = ""
    while after is not None:
        page = api.get("/admin/keys", {**query, "after": after})
        yield from page["keys"]
        after = page["next"]


# ------------------------------------------------------------------ what is shown


def _show_secret(key: dict[str, Any], *, as_json: bool) -> None:
    """The secret alone on stdout, so that it can be piped to where it belongs."""
    if as_json:
        click.echo(orjson.dumps(key).decode())
        return
    click.echo(f"key '{key['name']}' has a new secret. It is not shown again:", err=True)
    click.echo(key["secret"])


def _show(key: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(key).decode())
        return
    texts = {
        **{name: value for name, value in key.items() if name not in ("budgets", "limits", "tags")},
        "budgets": _budgets(key),
        "limits": ", ".join(f"{name} {value}" for name, value in key["limits"].items() if value is not None),
        "tags": ", ".join(f"{name}={value}" for name, value in key["tags"].items()),
    }
    _table([[name, _text(value)] for name, value in texts.items() if value])


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _budgets(key: dict[str, Any]) -> str:
    return ", ".join(f"{_amount(budget)}/{budget['per']}" for budget in key["budgets"])


def _amount(budget: dict[str, Any]) -> str:
    return f"${budget['usd']:g}" if budget["tokens"] is None else f"{budget['tokens']:,} tokens"


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
