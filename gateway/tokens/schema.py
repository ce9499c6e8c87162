"""JSON Schema as the TypeScript that OpenAI's models are shown.

A function's parameters reach the model as a TypeScript type, not as JSON: `{"type": "integer"}` is
`number`, an enum a union of literals, titles, descriptions and defaults are comments above a
property, and an object without any comment stands on one line. What has no TypeScript form
(`minimum`, `pattern`, `format`, `additionalProperties`) is left out.

Source: the rendering that models quote back (community.openai.com/t/266573) and the one published
with gpt-oss (github.com/openai/harmony); line breaks, comments and what is left out were fitted on
recorded usage. `tests/unit/tokens/test_schema.py` holds the cases.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

MAX_NODES = 10_000
"""Schemas in one request, references followed: a small document can follow its own exponentially often. 30 ms."""

MAX_DEPTH = 64

_NAMES = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}


class Budget:
    """How much more may be rendered; shared by all schemas of a request."""

    def __init__(self, nodes: int = MAX_NODES) -> None:
        self._left = nodes
        self.is_overdrawn = False

    def allows(self, depth: int) -> bool:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            self.is_overdrawn = True
        return not self.is_overdrawn


class TypeScript:
    """Renders the schemas of one document, whose `$ref`s are resolved in `root`; what `budget` forbids is `any`."""

    def __init__(self, root: Schema, budget: Budget) -> None:
        self._root = root
        self._budget = budget

    def object(self, schema: Schema, depth: int = 0) -> str:
        """`{ a: string, b?: number }`, or a line for each property if anything carries a comment."""
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        head = comments(schema) if depth == 0 else []
        has_comments = bool(head)
        properties = []
        for name, value in _properties(schema).items():
            resolved = self._resolve(value)
            notes = comments(resolved)
            has_comments = has_comments or bool(notes)
            optional = "" if name in required else "?"
            properties.append((notes, f"{name}{optional}: {self.type(resolved, depth + 1)}"))
        if not has_comments:
            return f"{{ {', '.join(text for _, text in properties)} }}"
        lines = [*head, *(line for notes, text in properties for line in (*notes, f"{text},"))]
        return "{\n" + "\n".join(lines) + "\n}"

    def type(self, schema: Any, depth: int) -> str:
        if not self._budget.allows(depth):
            return "any"
        schema = self._resolve(schema)
        if isinstance(schema.get("enum"), list):
            return " | ".join(_literal(value) for value in schema["enum"])
        if "const" in schema:
            return _literal(schema["const"])
        for union in ("anyOf", "oneOf"):
            if isinstance(schema.get(union), list):
                return " | ".join(self.type(option, depth + 1) for option in schema[union])
        names = schema.get("type")
        if isinstance(names, list):
            return " | ".join(self._named(schema, name, depth) for name in names)
        return self._named(schema, names, depth)

    def _named(self, schema: Schema, name: Any, depth: int) -> str:
        if name == "array":
            return f"{self.type(schema.get('items'), depth + 1)}[]"
        if name == "object":
            return self.object(schema, depth) if _properties(schema) else "object"
        return _NAMES.get(name, "any") if isinstance(name, str) else "any"

    def _resolve(self, schema: Any) -> Schema:
        """The schema that `$ref` points at inside this document, its siblings on top; else `schema` itself."""
        if not isinstance(schema, Mapping):
            return {}
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            return schema
        target: Any = self._root
        for step in ref.split("/")[1:]:
            target = target.get(step) if isinstance(target, Mapping) else None
        return {**target, **{key: value for key, value in schema.items() if key != "$ref"}} if target else schema


def _properties(schema: Schema) -> Schema:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def comments(schema: Schema) -> list[str]:
    """The comment lines above a property: its title, its description, its default."""
    lines: list[str] = []
    for field in ("title", "description"):
        if isinstance(schema.get(field), str) and schema[field]:
            lines += comment(schema[field])
    if "default" in schema:
        lines.append(f"// default: {_literal(schema['default'])}")
    return lines


def comment(text: str) -> Iterator[str]:
    """Each line is stripped; an empty one is a bare `//`."""
    return (f"// {line.strip()}".rstrip() for line in text.split("\n"))


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
