"""YAML text → a tree in which every value knows its place and line.

Built from PyYAML's events and not from its objects: YAML 1.1 would read `on` as a boolean, `12:30` as the number
750 and the second of two equal keys as the only one, and PyYAML's recursive composer can be crashed by a deeply
nested text. What a plain scalar means follows YAML 1.2's core schema, and is decided later (`substitute.py`), since
`${PORT}` has to be replaced first.

In flow style YAML takes the inner braces of `{key: ${NAME}}` for its own and fails. People write it all the same, and
so do our pages: inside `${…}` the characters that mean something to YAML are masked while it reads.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.config.problem import Path, Problem
from gateway.config.tree import Node, Scalar

MAX_DEPTH = 50
MAX_NODES = 100_000
"""Aliases are copied, so that each copy has its own place; this is what stops nine lines from becoming billions."""

_Loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_AS_TEXT = ("!", "tag:yaml.org,2002:str")
_YAML_SIGNS = "{}[],:#"
_MASK = {ord(sign): 0xF8D0 + i for i, sign in enumerate(_YAML_SIGNS)}  # of the private use area: YAML has no use for it
_UNMASK = {hidden: sign for sign, hidden in _MASK.items()}
_REFERENCE = re.compile(r"""\$(\{[^{}\n"']*\})""")
_MASKED = re.compile(f"\\${chr(_MASK[ord('{')])}[^\n]*?{chr(_MASK[ord('}')])}")
_SECTION = re.compile(r"""(["']?)([A-Za-z_][\w.-]*)\1\s*:(\s|$)""")


@dataclass(slots=True)
class Document:
    """What could be read of a text: `root` is a mapping, `lost` are the places that could not be read."""

    root: Node
    problems: list[Problem] = field(default_factory=list)
    lost: list[Path] = field(default_factory=list)


def read(text: str) -> Document:
    """Never raises: what is wrong is in the document's `problems`."""
    text = _masked(text)
    try:
        return _Builder(text).document()
    except (yaml.YAMLError, _Hopeless) as exc:
        return _section_by_section(text, exc)


def _masked(text: str) -> str:
    return _REFERENCE.sub(lambda match: "$" + match[1].translate(_MASK), text)


def _unmasked(text: str) -> str:
    return _MASKED.sub(lambda match: match[0].translate(_UNMASK), text)


class _Hopeless(Exception):
    """Reading cannot go on; the text says why."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class _Builder:
    """Turns the events of one text into nodes. `first_line` is the number of its first line in the file."""

    def __init__(self, text: str, *, first_line: int = 1, anchors: dict[str, Node] | None = None) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._first_line = first_line
        self._anchors = {} if anchors is None else anchors
        self._nodes = 0
        self._problems: list[Problem] = []
        self._lost: list[Path] = []

    def document(self) -> Document:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._report((), self._line(event), "expected one document, got a second one after '---'")
                    break
                root = self._node(next(self._events), (), None)
        return Document(self._top(root), self._problems, self._lost)

    def _top(self, root: Node | None) -> Node:
        if root is None or (root.is_plain and root.value == ""):
            return Node((), 1, {})
        if not isinstance(root.value, dict):
            self._report((), root.line, "expected `key: value` lines at the top (`upstreams:`, …), got something else")
            self._lost.append(())
            return Node((), root.line, {})
        return root

    def _node(self, event: Any, path: Path, line: int | None) -> Node:
        """`line` is the line of the key, for a value that has one: where people look."""
        node = Node(path, line or self._line(event))
        self._count(node)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, node)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, node)
        else:
            if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
                self._lose(node, "YAML tags are not supported here")
            node.value = self._mapping(node) if isinstance(event, yaml.MappingStartEvent) else self._sequence(node)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Any, node: Node) -> None:
        node.value = _unmasked(event.value)
        node.is_plain = event.tag is None and event.implicit[0]
        if event.tag is not None and event.tag not in _AS_TEXT:
            self._lose(node, "YAML tags are not supported here")

    def _alias(self, event: Any, node: Node) -> Node:
        """An anchor is known once its value is complete, so that nothing can contain itself."""
        if event.anchor not in self._anchors:
            self._lose(node, "expected the alias to name an anchor further up (`&name`), got an unknown one")
            return node
        return self._copy(self._anchors[event.anchor], node.path, node.line)

    def _copy(self, node: Node, path: Path, line: int) -> Node:
        copy = Node(path, line, node.value, node.is_plain)
        self._count(copy)
        if isinstance(node.value, dict):
            copy.value = {key: self._copy(child, (*path, key), child.line) for key, child in node.value.items()}
        elif isinstance(node.value, list):
            copy.value = [self._copy(child, (*path, i), child.line) for i, child in enumerate(node.value)]
        return copy

    def _sequence(self, parent: Node) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*parent.path, len(items)), None))
        return items

    def _mapping(self, parent: Node) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = self._line(event)
            key = self._key(event, parent.path)
            value = self._node(next(self._events), (*parent.path, "?" if key is None else key), line)
            if key == "<<":
                merged = {**self._merge(value, parent.path), **merged}
            elif key in entries:
                self._problems.append(_twice(value, entries[key]))
            elif key is not None:
                entries[key] = value
        return {**merged, **entries}

    def _key(self, event: Any, path: Path) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            text = _unmasked(event.value)
            if not (event.implicit[0] and event.tag is None) or isinstance(plain_value(text), str):
                return text
            self._report(path, self._line(event), f"expected text as a key, got {text or 'nothing'} (put it in quotes)")
            return None
        self._node(event, (*path, "?"), None)
        self._report(path, self._line(event), "expected text as a key, got something else")
        return None

    def _merge(self, value: Node, path: Path) -> dict[str, Node]:
        """`<<: *base`: the entries of one mapping, or of each in a list, the first one winning."""
        sources = value.children if isinstance(value.value, list) else [value]
        entries: dict[str, Node] = {}
        for source in sources:
            if not isinstance(source.value, dict):
                self._report(path, value.line, "expected `<<` to name a mapping, got something else")
                continue
            for key, child in source.value.items():
                entries.setdefault(key, self._copy(child, (*path, key), child.line))
        return entries

    def _count(self, node: Node) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Hopeless(node.line, f"expected at most {MAX_NODES:,} values (aliases written out), got more")
        if len(node.path) > MAX_DEPTH:
            raise _Hopeless(node.line, f"expected at most {MAX_DEPTH} levels, got more")

    def _line(self, event: Any) -> int:
        return int(event.start_mark.line) + self._first_line

    def _report(self, path: Path, line: int, text: str) -> None:
        self._problems.append(Problem(path, text, line))

    def _lose(self, node: Node, text: str) -> None:
        self._report(node.path, node.line, text)
        self._lost.append(node.path)


def _twice(node: Node, earlier: Node) -> Problem:
    return Problem(node.path, f"expected the key once, got it again (first on line {earlier.line})", node.line)


def plain_value(text: str) -> Scalar:
    """What a plain scalar means in YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text[0] in "tT"
    if len(text) > 100:  # no number anybody means, and int() refuses thousands of digits
        return text
    if re.fullmatch(r"[-+]?[0-9]+", text, re.ASCII):
        return int(text)
    if re.fullmatch(r"0o[0-7]+|0x[0-9a-fA-F]+", text):
        return int(text, 0)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text, re.ASCII):
        return float(text)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    return text


def _section_by_section(text: str, cause: yaml.YAMLError | _Hopeless) -> Document:
    """Read each top-level section for itself, so that a slip in one does not hide the problems of the others."""
    whole = Document(Node((), 1, {}), lost=[])
    entries: dict[str, Node] = {}
    anchors: dict[str, Node] = {}
    for name, first_line, section in _sections(text):
        try:
            part = _Builder(section, first_line=first_line, anchors=anchors).document()
        except (yaml.YAMLError, _Hopeless) as exc:
            whole.problems.append(_syntax_problem((name,), exc, section, first_line))
            whole.lost.append((name,))
            continue
        whole.problems += part.problems
        whole.lost += part.lost
        for key, node in part.root.value.items() if isinstance(part.root.value, dict) else ():
            if entries.setdefault(key, node) is not node:
                whole.problems.append(_twice(node, entries[key]))
    if not whole.lost:
        whole.problems.append(_syntax_problem((), cause, text, 1))
        whole.lost.append(())
    whole.root.value = entries
    return whole


def _sections(text: str) -> Iterator[tuple[str, int, str]]:
    """Name, first line number and text of every top-level key."""
    lines = text.split("\n")
    starts = [(i, match[2]) for i, line in enumerate(lines) if (match := _SECTION.match(line))]
    ends = [*(i for i, _ in starts), len(lines)][1:]
    for (start, name), end in zip(starts, ends, strict=True):
        yield name, start + 1, "\n".join(lines[start:end])


def _syntax_problem(path: Path, exc: yaml.YAMLError | _Hopeless, text: str, first_line: int) -> Problem:
    """PyYAML's own words, but never its snippet of the text: that may hold a secret."""
    if isinstance(exc, _Hopeless):
        return Problem(path, str(exc), exc.line)
    if not isinstance(exc, yaml.MarkedYAMLError):  # of the reader, which counts bytes
        before = text.encode()[: getattr(exc, "position", 0)]
        return Problem(path, "expected YAML, got a control character", first_line + before.count(b"\n"))
    words = re.sub(r"'([^']*)'", _without_name, exc.problem or "something else")
    mark = exc.problem_mark or exc.context_mark
    if exc.context and exc.context_mark:
        words = f"{words} {exc.context} that began on line {exc.context_mark.line + first_line}"
    return Problem(path, f"expected YAML: {words}", mark.line + first_line if mark else None)


def _without_name(match: re.Match[str]) -> str:
    """Signs such as ',' and '<stream end>' are PyYAML's words; anything else in quotes is from the text."""
    return match[0] if len(match[1]) == 1 or match[1].startswith("<") else "…"
