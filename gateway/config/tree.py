"""The values of a configuration with their places and lines, and what is done to such a tree."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.config.problem import Path

Scalar = str | int | float | bool | None


@dataclass(slots=True)
class Node:
    """One value. `path` is its place in the text and stays what it is when neighbours are removed."""

    path: Path
    line: int
    value: "Scalar | dict[str, Node] | list[Node]" = None
    is_plain: bool = False
    """A scalar without quotes or block style: the kind that may mean a number."""
    origin: str | None = None
    """`${NAME}`, where the value came from outside the text; such a value is never shown."""

    @property
    def children(self) -> "list[Node]":
        if isinstance(self.value, dict):
            return list(self.value.values())
        return list(self.value) if isinstance(self.value, list) else []


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def as_json(node: Node) -> Any:
    """The bare values of `node` and all below it."""
    if isinstance(node.value, dict):
        return {key: as_json(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [as_json(child) for child in node.value]
    return node.value


def as_node(value: Any, path: Path, line: int) -> Node:
    """The reverse of `as_json`, all on one line."""
    if isinstance(value, dict):
        return Node(path, line, {key: as_node(child, (*path, key), line) for key, child in value.items()})
    if isinstance(value, list):
        return Node(path, line, [as_node(child, (*path, i), line) for i, child in enumerate(value)])
    return Node(path, line, value)


def child_at(node: Node, step: str | int) -> Node | None:
    """The child under a key, or at an index as things stand now."""
    if isinstance(node.value, dict) and isinstance(step, str):
        return node.value.get(step)
    if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def remove(root: Node, path: Path) -> Path | None:
    """Take the value at `path` out; returns the place that is now empty, None when there was nothing to take.

    Of a list of plain values the whole list goes: without one of its members it would say something else.
    """
    trail = [root]
    for step in path:
        found = next((child for child in trail[-1].children if child.path[-1] == step), None)
        if found is None:
            return None
        trail.append(found)
    while len(trail) > 1:
        gone, parent = trail.pop(), trail[-1]
        if isinstance(parent.value, dict):
            parent.value = {key: child for key, child in parent.value.items() if child is not gone}
            return gone.path
        if isinstance(parent.value, list) and any(isinstance(child.value, dict) for child in parent.children):
            parent.value = [child for child in parent.value if child is not gone]
            return gone.path
    return None
