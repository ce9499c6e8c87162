"""A version's messages, made from the values of its variables: compiled once, rendered on the event loop.

    template ─ read, checked ─ rewritten ─ compiled ──┐  once a version
    values ─ checked by `variables.py` ───────────────┴─ pieces: text, attachments ─ messages

What a template prints reaches us as values, not as text, so that an image is an image because the caller gave one, and
never because some text looks like its placeholder. The same goes for what is untrusted: `data.py`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.nodes import TemplateData

from gateway.prompts.data import Attachment, Untrusted, fenced
from gateway.prompts.document import PromptDocument
from gateway.prompts.operations import MOST_TEXT, WORK, Failed, Work, shown
from gateway.prompts.rendered import Piece, Rendered, RenderFailed, TemplateRefused
from gateway.prompts.sandbox import SANDBOX, Refused, read, rewritten
from gateway.value import value

BLANK_ENDS = re.compile(r"(?<![ \t])[ \t]++(?=\r?\n)")
"""Looks at each blank once, whatever the text."""

_FILE = "<prompt>"
"""What Python calls the code of a template."""


@value
class Slot:
    """Where a variable is printed as it is."""

    name: str
    line: int


Simple = tuple[str | Slot, ...]
"""A template of texts and variables alone, as nearly all are: it needs no machinery."""


@value
class Compiled:
    """A document, ready to be rendered."""

    messages: tuple[tuple[str, "Template | Simple"], ...]
    """Role and template."""
    has_blank_ends: bool
    """Its templates have blanks at the ends of lines, which its policy does not trim."""

    def render(self, values: Mapping[str, Any]) -> tuple[Rendered, ...]:
        """The messages made of `values`, as `variables.py` gives them. Raises RenderFailed."""
        work = Work()
        given = {**values, WORK: work}
        left = MOST_TEXT
        rendered = []
        for index, (role, template) in enumerate(self.messages):
            if isinstance(template, tuple):
                pieces = _fill(index, template, values, work, left)
            else:
                pieces = _run(index, template, given, work, left)
            left -= sum([len(piece) for piece in pieces if isinstance(piece, str)])
            rendered.append(Rendered(role, pieces))
        return tuple(rendered)


def compile_document(document: PromptDocument) -> Compiled:
    """`document`, ready to be rendered: some milliseconds. Raises TemplateRefused."""
    found: list[tuple[str, Template | Simple]] = []
    has_blank_ends = False
    for index, message in enumerate(document.messages):
        try:
            template, has_blanks = _compile(message.content, trims=document.whitespace == "trim")
        except Refused as refused:
            raise TemplateRefused(index, refused.line, refused.message) from None
        found.append((message.role, template))
        has_blank_ends = has_blank_ends or has_blanks
    return Compiled(tuple(found), has_blank_ends)


def _compile(source: str, *, trims: bool) -> "tuple[Template | Simple, bool]":
    """`source` compiled, and whether it leaves blanks at the ends of lines."""
    tree = read(source)
    has_blanks = False
    for data in tree.find_all(TemplateData):
        if trims:
            data.data = BLANK_ENDS.sub("", data.data)
        has_blanks = has_blanks or BLANK_ENDS.search(data.data) is not None
    simple = _simple(tree)
    if simple is not None:
        return simple, has_blanks
    try:
        code = SANDBOX.compile(rewritten(tree), filename=_FILE)
    except TemplateSyntaxError as error:
        raise Refused("a name is set where it cannot be", error.lineno) from None
    except (RecursionError, SyntaxError, MemoryError, ValueError):
        raise Refused("the template is nested too deeply") from None
    return Template.from_code(SANDBOX, code, {}), has_blanks


def _simple(tree: nodes.Template) -> Simple | None:
    """The texts and variables that `tree` consists of; None where there is more to it."""
    found: list[str | Slot] = []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, TemplateData):
                found.append(node.data)
            elif isinstance(node, nodes.Name):
                found.append(Slot(node.name, node.lineno))
            else:
                return None
    return tuple(found)


def _fill(index: int, template: Simple, values: Mapping[str, Any], work: Work, most: int) -> tuple[Piece, ...]:
    """What a template of texts and variables prints."""
    try:
        printing = [piece if isinstance(piece, str) else values[piece.name] for piece in template]
        return _pieces(printing, work, most)
    except KeyError:
        slot = next(piece for piece in template if isinstance(piece, Slot) and piece.name not in values)
        raise RenderFailed(f"messages[{index}], line {slot.line}: '{slot.name}' is not there") from None
    except (Failed, TypeError, ValueError, RecursionError) as failed:
        why = str(failed) if isinstance(failed, Failed) else "a value cannot be printed"
        raise RenderFailed(f"messages[{index}]: {why}") from None


def _run(index: int, template: Template, values: dict[str, Any], work: Work, most: int) -> tuple[Piece, ...]:
    """What a template of all kinds prints, and where it went wrong if it did."""
    printing = template.root_render_func(template.new_context(values))
    try:
        return _pieces(printing, work, most)
    except Failed as failed:
        raise RenderFailed(f"messages[{index}], line {_line(template, printing, failed)}: {failed}") from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError, LookupError) as error:
        why = error.message if isinstance(error, UndefinedError) else "a filter or operator cannot take this"
        raise RenderFailed(f"messages[{index}], line {_line(template, printing, error)}: {why}") from None


def _pieces(printing: Iterable[Any], work: Work, most: int) -> tuple[Piece, ...]:
    """All that is printed, put together; Failed where that has more than `most` characters."""
    pieces: list[Piece] = []
    texts: list[str] = []
    for printed in printing:
        if type(printed) is str:
            text = printed  # of the template, or a text as it was given: how often that can be, loops have paid for
        elif isinstance(printed, Attachment):
            _join(texts, pieces)
            pieces.append(printed)
            continue
        else:
            text = _printed(printed, work)
        most -= len(text)
        if most < 0:
            raise Failed(f"the messages have more than {MOST_TEXT:,} characters")
        texts.append(text)
    _join(texts, pieces)
    return tuple(pieces) or ("",)


def _printed(value: Any, work: Work) -> str:
    text = shown(value, work)
    work.spend(1 + len(text) // 1024)
    return fenced(text) if isinstance(text, Untrusted) else text


def _join(texts: list[str], pieces: list[Piece]) -> None:
    """Move `texts`, as one, to the end of `pieces`."""
    if text := "".join(texts):
        pieces.append(text)
    texts.clear()


def _line(template: Template, printing: Any, error: Exception) -> int:
    """Of the template, where `error` came about: while it worked, or with what it had printed last."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILE:
            return template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    frame = printing.gi_frame
    return template.get_corresponding_lineno(frame.f_lineno) if frame is not None else 1
