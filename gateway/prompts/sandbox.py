"""Templates as far as a prompt needs them, and no further: Jinja2's syntax over data, with every operation counted.

Jinja's own sandbox keeps a template from Python's insides; it does not keep it from working for an hour. Prompts are
rendered on the event loop, so here a template is first read as a tree in which only the nodes of `_ALLOWED` may stand,
and whatever could be large or slow in it (loops, filters, comparisons, arithmetic, concatenation, slices) is then
rewritten into a call of a function of `operations.py`, which pays for it out of a fixed amount of `Work`. No clock is
asked: equal requests have equal ends. What is left for Python to run is reading names and items, `if`, and output.

There are no attributes, only items of mappings and lists; no calls but `range`; no macros, blocks, imports or includes.
"""

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import Frame
from jinja2.exceptions import TemplateSyntaxError
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.nodes import EvalContext
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from gateway.prompts import filters, operations
from gateway.prompts.data import Untrusted

MOST_CHARS = 200_000
"""Of one message's template."""
MOST_TAGS = 2_000
MOST_TAG_CHARS = 40_000
"""Inside the braces of a message: reading so much of the worst takes 0.2 s, once a version, at its push."""
MOST_NODES = 5_000
MOST_DEPTH = 40
MOST_NESTED_LOOPS = 4

_OPENS = re.compile(r"\{[{%#]")
_CLOSES = {"{{": "}}", "{%": "%}", "{#": "#}"}
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth"})
_RESERVED = frozenset({"self", "super", "caller", "varargs", "kwargs"})
"""Names by which Jinja hands out objects of its own."""
_ALLOWED: tuple[type[nodes.Node], ...] = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign),
    *(nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not),
    *(nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.Concat),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Call),
)
_CALLED = {
    nodes.Macro: "macros",
    nodes.Block: "blocks",
    nodes.Extends: "inheritance",
    nodes.Include: "includes",
    nodes.Import: "imports",
    nodes.FromImport: "imports",
    nodes.Pow: "powers",
    nodes.AssignBlock: "blocks of `set`: write `{% set name = value %}`",
    nodes.NSRef: "namespaces",
    nodes.FilterBlock: "blocks of `filter`",
    nodes.CallBlock: "blocks of `call`",
}
_BINARY: dict[type[nodes.Node], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}


class Refused(Exception):
    """A template that is no prompt; `line` is where, from 1. The message quotes none of its text but names."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class _Missing(StrictUndefined):
    """Anything but asking whether it is there fails, with a message that has no content of variables in it."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        return f"'{self._undefined_name}' is not there"


class _CodeGenerator(NativeCodeGenerator):
    """Values leave a template as they are, for `render.py` to print: nothing that is no text can then be forged by
    text."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> Any:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class Sandbox(ImmutableSandboxedEnvironment):
    code_generator_class = _CodeGenerator

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined=_Missing,
            autoescape=False,
            optimized=False,
            cache_size=0,
        )
        self.globals.clear()
        self.filters = {**filters.FILTERS, **operations.INNER}
        self.tests = dict(filters.TESTS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Only items of mappings, and what `loop` tells."""
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Undefined):
            return getattr(obj, attribute)  # raises
        return self.undefined(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            if isinstance(obj, Mapping | list | tuple) or type(obj) is str:
                return obj[argument]
            if isinstance(obj, Untrusted):
                return Untrusted(obj[argument])
        except (LookupError, TypeError):
            pass
        if isinstance(obj, Undefined):
            return obj[argument]  # raises
        return self.undefined(hint="an item that is asked for is not there")

    def call(self, *_: Any, **__: Any) -> Any:
        raise operations.Failed("nothing in a template can be called")


SANDBOX = Sandbox()
"""Holds no state: what a rendering uses is in its context."""


def read(source: str) -> nodes.Template:
    """`source` as a tree of allowed nodes, not rewritten yet. Refused where it is anything else, or too large."""
    if len(source) > MOST_CHARS:
        raise Refused(f"the template has {len(source):,} characters; {MOST_CHARS:,} are allowed")
    found = tags(source)
    if len(found) > MOST_TAGS or sum(end - start for start, end in found) > MOST_TAG_CHARS:
        raise Refused(f"the template has too much between braces: {MOST_TAGS:,} tags, {MOST_TAG_CHARS:,} characters")
    try:
        tree = SANDBOX.parse(source)
    except TemplateSyntaxError as error:
        raise Refused(_syntax(error), error.lineno) from None
    except (RecursionError, ValueError, OverflowError):
        raise Refused("the template is nested too deeply, or has a number that is too long") from None
    _check(tree)
    return tree


def tags(source: str) -> list[tuple[int, int]]:
    """Where each tag begins and ends; one that is not closed takes all the rest. Linear in the text."""
    found, at = [], 0
    while (match := _OPENS.search(source, at)) is not None:
        closed = source.find(_CLOSES[match.group()], match.end())
        at = len(source) if closed < 0 else closed + 2
        found.append((match.start(), at))
    return found


def rewritten(tree: nodes.Template) -> nodes.Template:
    """`tree`, which `read` has allowed, with every operation made a counted one. Changes `tree`."""
    _Rewriter().visit(tree)
    tree.set_environment(SANDBOX)
    return tree


def _syntax(error: TemplateSyntaxError) -> str:
    message = error.message or "it cannot be read"
    if message.startswith(("Encountered unknown tag", "No filter named", "No test named")) or len(message) > 200:
        message = message[:120]
    return f"not a template: {message}"


def _check(tree: nodes.Template) -> None:
    """All that stands in `tree` is allowed, and there is not too much of it. Not recursive: its depth is unknown."""
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    count = 0
    while waiting:
        node, depth, loops = waiting.pop()
        count += 1
        line = node.lineno or 1
        if count > MOST_NODES or depth > MOST_DEPTH or loops > MOST_NESTED_LOOPS:
            raise Refused("the template is too large or nested too deeply", line)
        _check_node(node, line)
        loops += isinstance(node, nodes.For)
        waiting += [(child, depth + 1, loops) for child in node.iter_child_nodes()]


def _check_node(node: nodes.Node, line: int) -> None:
    if not isinstance(node, _ALLOWED):
        what = _CALLED.get(type(node), f"{type(node).__name__.lower()}s")
        raise Refused(f"templates of prompts have no {what}", line)
    match node:
        case nodes.Name() if node.name in _RESERVED or node.name.startswith("_"):
            raise Refused(f"'{node.name}' cannot be used as a name", line)
        case nodes.Getattr() if node.attr.startswith("_"):
            raise Refused(f"'{node.attr}' cannot be read: there are no attributes, only items", line)
        case nodes.For() if node.recursive:
            raise Refused("loops cannot be recursive", line)
        case nodes.Compare() if len(node.ops) != 1:
            raise Refused("one comparison at a time: write `a < b and b < c`", line)
        case nodes.Call() if not _is_range(node):
            name = node.node.attr if isinstance(node.node, nodes.Getattr) else getattr(node.node, "name", "")
            hint = f": write `|{name}`" if name in filters.FILTERS else ""
            raise Refused(f"nothing can be called but `range`{hint}", line)
        case nodes.Filter() if node.name not in filters.FILTERS or node.dyn_args or node.dyn_kwargs:
            raise Refused(f"there is no filter '{node.name}'; there are {', '.join(sorted(filters.FILTERS))}", line)
        case nodes.Test() if node.name not in filters.TESTS or node.dyn_args or node.dyn_kwargs:
            raise Refused(f"there is no test '{node.name}'; there are {', '.join(sorted(filters.TESTS))}", line)


def _is_range(node: nodes.Call) -> bool:
    is_range = isinstance(node.node, nodes.Name) and node.node.name == "range"
    return is_range and 1 <= len(node.args) <= 3 and not (node.kwargs or node.dyn_args or node.dyn_kwargs)


class _Rewriter(NodeTransformer):
    """Operations → filters of `operations.INNER`, whose names no template can write."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        size = sum(len(_all(child)) for child in node.body) + 1 if isinstance(node, nodes.For) else 0
        return _paid(super().generic_visit(node, *args, **kwargs), size)


def _paid(node: nodes.Node, size: int) -> nodes.Node:
    """What stands in place of `node`, whose children are rewritten; `size` is that of a loop's body."""
    match node:
        case nodes.BinExpr() if type(node) in _BINARY:
            return _inner("0binary", node, node.left, nodes.Const(_BINARY[type(node)]), node.right)
        case nodes.Neg():
            return _inner("0binary", node, nodes.Const(0), nodes.Const("-"), node.node)
        case nodes.Concat():
            return _inner("0concat", node, *node.nodes)
        case nodes.Compare():
            (operand,) = node.ops
            return _inner("0compare", node, node.expr, nodes.Const(operand.op), operand.expr)
        case nodes.Getitem(arg=nodes.Slice() as bounds):
            places = [place or nodes.Const(None) for place in (bounds.start, bounds.stop, bounds.step)]
            return _inner("0slice", node, node.node, *places)
        case nodes.Call():
            return _inner("0range", node, *node.args)
        case nodes.For():
            node.iter = _inner("0counted", node, node.iter, nodes.Const(size))
    return node


def _inner(name: str, at: nodes.Node, value: nodes.Node, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(arguments), [], None, None, lineno=at.lineno)


def _all(node: nodes.Node) -> list[nodes.Node]:
    """`node` and everything below it."""
    found = [node]
    for one in found:
        found += one.iter_child_nodes()
    return found


def constant(node: nodes.Expr) -> Any:
    """The value of a literal; raises `nodes.Impossible` for anything else."""
    return node.as_const(EvalContext(SANDBOX))
