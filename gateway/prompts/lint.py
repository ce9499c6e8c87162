"""What is wrong with a version of a prompt before anybody sends it, and what that would cost.

    error     it fails, or pays for nothing with every request: a push refuses it
    warning   it works, and is probably not what was meant

One space cost a team $12,000: `Answer based on: {{ context }} \\n Question: {{ question }}` went out with every
request, and the blanks around its line break made tokens of their own. Pure; tokens and prices come in.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import orjson
from jinja2 import meta, nodes

from gateway.errors import BadRequest
from gateway.prompts.document import PromptDocument, Variable
from gateway.prompts.render import compile_document
from gateway.prompts.rendered import TemplateRefused
from gateway.prompts.sandbox import Refused, read, tags
from gateway.prompts.variables import checked
from gateway.value import value

Severity = Literal["error", "warning"]
_MILLION = 1_000_000
_CHARS_A_TOKEN = 4
_NEAR_WINDOW = 0.8
_MOST = 100
"""Findings about the blanks and letters of one message; who has more will look again."""
_LARGE_CHARS = 1_000
"""A variable that may be longer than this is context, and not a name."""

_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
"""For a few characters alone: in long texts `tags` finds them."""
_FENCED = re.compile(r"^[ \t]*(?:```|~~~).*?(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_LINE_ENDS = re.compile(r"(?<![ \t])[ \t]++(?=\r?\n)")
_RUNS = re.compile(r"(?<=[^\s])[ \t]{2,}+(?=[^\s])|\n(?:[ \t]*+\r?\n){2,}")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_AFTER = re.compile(r"\s++")
_SECRETS = {
    "an OpenAI key": r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}",
    "an Anthropic key": r"\bsk-ant-[A-Za-z0-9_-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a Stripe key": r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "a private key": r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,999}\.eyJ[A-Za-z0-9_-]{10,9999}\.[A-Za-z0-9_-]{10,}",
    "a password in a URL": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,64}:[^\s/:@{}]{3,64}@",
    "a password": r"(?i)\b(?:password|passwd|api[_-]?key|secret|token)\s*[:=]\s*['\"]?"
    r"(?=[A-Za-z0-9_+/-]*\d)[A-Za-z0-9_+/-]{12,}",
}
_SECRET = {kind: re.compile(pattern) for kind, pattern in _SECRETS.items()}
_NOT_PARAMETERS = frozenset(
    {"messages", "input", "prompt", "model", "tools", "response_format", "stream", "stream_options"}
)
_SAMPLES = ("word", "text.", "12")
"""What a variable may begin and end with: a full stop and a line break are one token, with a space between them two."""


@value
class Finding:
    rule: str
    severity: Severity
    message: str
    """Without any text of the prompt but names: it is shown in the logs of builds."""
    fix: str
    index: int | None = None
    """Of the message; None where it is about the whole."""
    line: int = 1
    """Within the message, from 1."""
    tokens: int = 0
    """Wasted with each request."""


@value
class Model:
    """What is known of the model that the prompt is for."""

    count: Callable[[str], int] | None = None
    """Tokens of a text; None: nothing is counted."""
    context: int | None = None
    """Tokens that it takes."""
    usd_per_million_tokens: float | None = None

    def tokens(self, text: str) -> int:
        return 0 if self.count is None else self.count(text)

    def usd_per_million_requests(self, finding: Finding) -> float | None:
        """What the tokens of `finding` come to; None where no price is known."""
        return None if self.usd_per_million_tokens is None else finding.tokens * self.usd_per_million_tokens


def lint(document: PromptDocument, model: Model) -> list[Finding]:
    """All findings, in the order of the text; an empty list where there is nothing to say."""
    found: list[Finding] = []
    trees: list[nodes.Template] = []
    for index, message in enumerate(document.messages):
        found += islice(_of_text(index, message.content, model), _MOST)
        try:
            trees.append(read(message.content))
        except Refused as refused:
            fix = "see what templates can do in docs/prompts.md"
            found.append(Finding("template", "error", refused.message, fix, index, refused.line))
    if len(trees) == len(document.messages):
        found += _compiles(document)
        found += _of_variables(document, trees)
        found += [one for index, tree in enumerate(trees) for one in _of_loops(index, tree, document)]
    found += _of_document(document, model)
    return sorted(found, key=lambda one: (-1 if one.index is None else one.index, one.line))


def _compiles(document: PromptDocument) -> Iterator[Finding]:
    try:
        compile_document(document)
    except TemplateRefused as refused:
        yield Finding("template", "error", refused.message, "make the template simpler", refused.index, refused.line)


# ------------------------------------------------------------------ blanks and letters


def _of_text(index: int, text: str, model: Model) -> Iterator[Finding]:
    """What can be seen in the text of one message, tags aside."""
    fences = [match.span() for match in _FENCED.finditer(text)]
    taken: list[tuple[int, int]] = list(fences)
    masked = _masked(text)

    def finding(rule: str, severity: Severity, span: tuple[int, int], instead: str, message: str, fix: str) -> Finding:
        start, end = span
        line = text.count("\n", 0, start) + 1
        return Finding(rule, severity, message, fix, index, line, _waste(text, start, end, instead, model))

    for start, end, instead in _beside_tags(text):
        if not _within((start, end), fences):
            taken.append((start, end))
            message = "blanks beside a variable make tokens of their own, and others of the words around them"
            fix = "one space, or one line break without spaces around it"
            yield finding("space-by-variable", "error", (start, end), instead, message, fix)
    end = len(text.rstrip())
    if end < len(text) and not _within((end, len(text)), taken):
        taken.append((end, len(text)))
        message = "the message ends in blanks"
        yield finding("trailing-whitespace", "error", (end, len(text)), "", message, "take them out")
    for match in _LINE_ENDS.finditer(masked):
        if not _within(match.span(), taken):
            message = "the line ends in blanks"
            yield finding("trailing-whitespace", "error", match.span(), "", message, "take them out")
    for match in _RUNS.finditer(masked):
        if not _within(match.span(), taken):
            instead, what = ("\n\n", "empty lines") if "\n" in match.group() else (" ", "spaces")
            message = f"several {what} where one would do"
            yield finding("doubled-whitespace", "warning", match.span(), instead, message, "leave one")
    for match in _INVISIBLE.finditer(text):
        message = f"an invisible character, U+{ord(match.group()):04X}"
        yield finding("invisible-character", "warning", match.span(), "", message, "take it out")


def _beside_tags(text: str) -> Iterator[tuple[int, int, str]]:
    """Blanks around what is printed that should be others: where they are, and what should be there."""
    seen = set()
    for opened, closed in tags(text):
        if not text.startswith("{{", opened):
            continue
        after = _AFTER.match(text, closed)
        for start, end in ((_blanks_before(text, opened), opened), after.span() if after else (0, 0)):
            if start == end or (start, end) in seen or end == len(text):
                continue
            seen.add((start, end))
            instead = _plain(text[start:end], is_first=start == 0)
            if instead != text[start:end]:
                yield start, end, instead


def _masked(text: str, sign: str = "x") -> str:
    """`text` with `sign` in place of each character of a tag: nothing is found in tags, and places stay."""
    pieces: list[str] = []
    at = 0
    for start, end in tags(text):
        pieces += (text[at:start], sign * (end - start))
        at = end
    return "".join((*pieces, text[at:]))


def _blanks_before(text: str, end: int) -> int:
    """Where the blanks begin that end at `end`."""
    while end and text[end - 1].isspace():
        end -= 1
    return end


def _plain(blanks: str, *, is_first: bool) -> str:
    """What `blanks` beside a variable should be: nothing at the beginning, a space, or one or two line breaks and then
    perhaps an indentation, which a single space is not."""
    if is_first:
        return ""
    breaks = blanks.count("\n")
    if not breaks:
        return " "
    indentation = blanks.rpartition("\n")[2]
    return "\n" * min(2, breaks) + (indentation if len(indentation) != 1 or indentation == "\t" else "")


def _waste(text: str, start: int, end: int, instead: str, model: Model) -> int:
    """Tokens that `text[start:end]` takes more than `instead`, with what may stand around it."""
    most = 0
    for sample in _SAMPLES:
        before = _TAG.sub(sample, text[max(0, start - 200) : start])[-32:]
        after = _TAG.sub(sample, text[end : end + 200])[:32]
        most = max(most, model.tokens(before + text[start:end] + after) - model.tokens(before + instead + after))
    return most


def _within(span: tuple[int, int], spans: Iterable[tuple[int, int]]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in spans)


# ------------------------------------------------------------------ variables


def _of_variables(document: PromptDocument, trees: Sequence[nodes.Template]) -> Iterator[Finding]:
    used: set[str] = set()
    for index, tree in enumerate(trees):
        names = meta.find_undeclared_variables(tree) - {"range"}
        used |= names
        for name in sorted(names - document.variables.keys()):
            line = min(node.lineno for node in tree.find_all(nodes.Name) if node.name == name)
            fix = f"declare it under `variables`, or is one of these meant: {', '.join(document.variables) or 'none'}?"
            message = f"variable '{name}' is not declared: every request would fail"
            yield Finding("undeclared-variable", "error", message, fix, index, line)
    for name, variable in document.variables.items():
        if name not in used:
            message = f"variable '{name}' is declared and used nowhere"
            fix = "use it, or take it out: callers must not send it then"
            yield Finding("unused-variable", "warning", message, fix)
        if variable.default is not None:
            yield from _of_default(document, name, variable)


def _of_default(document: PromptDocument, name: str, variable: Variable) -> Iterator[Finding]:
    try:
        checked(document.model_copy(update={"variables": {name: variable}}), {})
    except BadRequest as wrong:
        yield Finding("default", "error", f"the default of variable '{name}': {wrong.message}", "give another")


def _of_loops(index: int, tree: nodes.Template, document: PromptDocument) -> Iterator[Finding]:
    """Variables that a loop prints again and again, though they are the same each time."""
    told = set()
    for loop in tree.find_all(nodes.For):
        for output in (one for child in loop.body for one in _outputs(child)):
            for name in output.find_all(nodes.Name):
                variable = document.variables.get(name.name)
                is_known = (loop.lineno, name.name) in told
                if variable is None or is_known or not _is_context(variable):
                    continue
                told.add((loop.lineno, name.name))
                yield Finding(
                    "repeated-context",
                    "error",
                    f"variable '{name.name}' is printed once for each turn of a loop that it does not depend on; each "
                    f"repetition may have {variable.max_chars // _CHARS_A_TOKEN:,} tokens",
                    "print it before or after the loop; or set its `max_chars` to less than 1,000 if it is that short",
                    index,
                    name.lineno,
                    variable.max_chars // _CHARS_A_TOKEN,
                )


def _outputs(node: nodes.Node) -> Iterator[nodes.Output]:
    if isinstance(node, nodes.Output):
        yield node
    yield from node.find_all(nodes.Output)


def _is_context(variable: Variable) -> bool:
    return variable.type in ("image", "file") or (
        variable.type in ("text", "list", "object") and variable.max_chars >= _LARGE_CHARS
    )


# ------------------------------------------------------------------ the whole


def _of_document(document: PromptDocument, model: Model) -> Iterator[Finding]:
    for name in sorted(_NOT_PARAMETERS & document.parameters.keys()):
        message = f"'{name}' cannot be set under `parameters`"
        yield Finding("parameter", "error", message, "it has a place of its own, or is the request's to say")
    yield from _of_secrets(document)
    if model.count is None:
        return
    fixed = sum(model.tokens(_masked(message.content, "")) for message in document.messages)
    budget = document.token_budget
    if budget is not None and fixed > budget:
        message = f"its fixed text alone has {fixed:,} tokens, {fixed - budget:,} more than `token_budget`"
        yield Finding("over-budget", "error", message, "shorten it, or raise the budget", tokens=fixed - budget)
    most = fixed + sum(
        variable.max_chars // _CHARS_A_TOKEN
        for variable in document.variables.values()
        if variable.type not in ("image", "file")
    )
    if budget is not None and document.over_budget == "reject":
        most = min(most, budget)
    if model.context is not None and most > _NEAR_WINDOW * model.context:
        message = f"with its longest variables it may have {most:,} tokens; the model takes {model.context:,} in all"
        yield Finding("near-window", "warning", message, "set `max_chars` of its variables, or a `token_budget`")


def _of_secrets(document: PromptDocument) -> Iterator[Finding]:
    for index, message in enumerate(document.messages):
        for kind, match in _secrets(message.content):
            line = message.content.count("\n", 0, match.start()) + 1
            yield _secret(kind, index, line)
    rest = document.model_dump(mode="json", exclude={"messages"})
    for kind, _ in _secrets(_words(rest)):
        yield _secret(kind, None, 1)


def _words(given: Any) -> str:
    """All texts in `given`, a line each, each behind its key."""
    if isinstance(given, Mapping):
        return "\n".join(f"{key}: {_words(item)}" for key, item in given.items())
    if isinstance(given, list | tuple):
        return "\n".join(map(_words, given))
    return given if isinstance(given, str) else orjson.dumps(given).decode()


def _secrets(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    spans: list[tuple[int, int]] = []
    for kind, pattern in _SECRET.items():
        for match in pattern.finditer(text):
            if not any(match.start() < end and start < match.end() for start, end in spans):
                spans.append(match.span())
                yield kind, match


def _secret(kind: str, index: int | None, line: int) -> Finding:
    fix = "take it out, and make a new one: whoever can read the prompt has this one"
    return Finding("secret", "error", f"this looks like {kind}", fix, index, line)
