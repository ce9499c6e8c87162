"""`gateway prompts lint|render`: prompts before anybody sends them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.accounting.prices import PriceTable
from gateway.cli.admin import AdminApi, admin_option
from gateway.cli.prompts.common import as_json, document_of, path, show_json
from gateway.cli.prompts.folder import SUFFIXES, files_in, read_placed
from gateway.errors import BadRequest
from gateway.prompt_check import Finding, PromptChecker, errors_in
from gateway.prompts.document import PromptDocument
from gateway.prompts.files import PromptFile
from gateway.prompts.rendered import RenderFailed, TemplateRefused, trimmed
from gateway.prompts.variables import checked
from gateway.tokens.count import TokenCounter, estimate_of
from gateway.tokens.encodings import Encodings
from gateway.values import Request, Target
from gateway.wire import json_bytes
from gateway.wire.prompted import Attached, chat_messages

_PICO_A_DOLLAR = 10**12


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="PATH|NAME...")
@click.option("--model", "-m", help="Count and price for this model instead of each prompt's own.")
@click.option("--strict", is_flag=True, help="End with 1 for warnings as well.")
@as_json
@admin_option
def lint(what: tuple[str, ...], model: str | None, strict: bool, admin: str, as_json: bool) -> None:
    """Say what is wrong with prompts: files, folders of them, or names that a running gateway knows.

    Each finding has its place, what it wastes with every request, and what to do. Ends with 1 where there is an error;
    a push would refuse it.
    """
    counter = TokenCounter(Encodings())
    checker = PromptChecker(counter, PriceTable.build({}, at=datetime.now(UTC)))
    found = [
        {"file": source, **_placed(finding, file)}
        for source, file in _read(what, admin)
        for finding in checker.check(file.document, model)
    ]
    counter.close()
    if as_json:
        show_json(found)
    else:
        for finding in found:
            click.echo(_line(finding))
        wrong = len(errors_in(found))
        click.echo(f"{_many(wrong, 'error')}, {_many(len(found) - wrong, 'warning')}", err=True)
    if errors_in(found) or (strict and found):
        raise click.exceptions.Exit(1)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _read(what: Sequence[str], admin: str) -> list[tuple[str, PromptFile]]:
    """Each prompt, and what it is called."""
    found: list[tuple[str, PromptFile]] = []
    for one in what:
        place = Path(one)
        if place.exists():
            files = files_in(place)
            if not files:
                raise click.ClickException(f"{one}: there are no files that end in {' or '.join(SUFFIXES)}")
            found += [(str(file), read_placed(file)) for file in files]
        else:
            found.append((one, PromptFile(_of_gateway(one, "newest", admin), ())))
    return found


def _of_gateway(name: str, version: str, admin: str) -> PromptDocument:
    return document_of(AdminApi(admin).get(path(name, "versions", version)))


def _placed(finding: Finding, file: PromptFile) -> Finding:
    """With the line of the file, where that is known; otherwise the line is the message's."""
    if not file.lines:
        return finding
    line = 1 if finding["index"] is None else file.lines[finding["index"]] + finding["line"] - 1
    return {**finding, "line": line}


def _line(finding: Finding) -> str:
    wasted = ""
    if finding["tokens"]:
        usd = finding["usd_per_million_requests"]
        price = "" if usd is None else f", ${usd:,.2f} per million requests"
        wasted = f" ({finding['tokens']:,} token{'' if finding['tokens'] == 1 else 's'}{price})"
    where = f"{finding['file']}:{finding['line']}"
    return f"{where}: {finding['severity']}: {finding['rule']}: {finding['message']}{wasted}\n    {finding['fix']}"


@click.command()
@click.argument("what", metavar="FILE|NAME")
@click.option("--var", "given", multiple=True, metavar="NAME=VALUE", help="NAME=@FILE reads it from a file.")
@click.option("--version", default="production", show_default=True, help="Of a NAME: a number, a label, or newest.")
@click.option("--model", "-m", help="Count and price for this model instead of the prompt's own.")
@as_json
@admin_option
def render(what: str, given: tuple[str, ...], version: str, model: str | None, admin: str, as_json: bool) -> None:
    """Show the messages that a prompt makes of its variables, with their tokens and what they cost as input."""
    document = read_placed(Path(what)).document if Path(what).is_file() else _of_gateway(what, version, admin)
    messages = _messages(document, dict(map(_variable, given)))
    name = model or document.model or "gpt-5-mini"
    tokens, usd = _counted(messages, name)
    if as_json:
        show_json({"messages": messages, "model": name, "tokens": tokens, "usd": usd})
        return
    for message in messages:
        click.secho(f"=== {message['role']} ===", bold=True)
        content = message["content"]
        click.echo(content if isinstance(content, str) else orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
    price = "no price is known" if usd is None else f"${usd * 1_000_000:,.2f} per million requests"
    click.echo(f"{tokens:,} tokens for {name}; {price}", err=True)


def _variable(text: str) -> tuple[str, str]:
    name, sign, found = text.partition("=")
    if not sign:
        raise click.BadParameter(f"expected NAME=VALUE, got '{text}'", param_hint="--var")
    if not found.startswith("@"):
        return name, found
    try:
        return name, Path(found[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{found[1:]} cannot be read: {error}", param_hint="--var") from None


def _messages(document: PromptDocument, given: dict[str, str]) -> list[dict[str, Any]]:
    from gateway.prompts.render import compile_document

    try:
        rendered = compile_document(document).render(checked(document, given))
    except (BadRequest, RenderFailed, TemplateRefused) as error:
        raise click.ClickException(str(error)) from None
    if document.whitespace == "trim":
        rendered = trimmed(rendered)
    told = [
        (one.role, [piece if isinstance(piece, str) else Attached(piece.variable, piece.part) for piece in one.pieces])
        for one in rendered
    ]
    return chat_messages(told, is_counted=False)


def _counted(messages: list[dict[str, Any]], model: str) -> tuple[int, float | None]:
    counter = TokenCounter(Encodings())
    fields = {"model": model, "messages": messages}
    request = Request("chat", json_bytes.dumps(fields), fields, model)
    tokens = estimate_of(counter.parts(request, model), request).prompt_tokens
    counter.close()
    target = Target.parse(model) if "/" in model else Target("", model)
    rates = PriceTable.build({}, at=datetime.now(UTC)).rates(target)
    return tokens, None if rates is None else tokens * rates.input / _PICO_A_DOLLAR
