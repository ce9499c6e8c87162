"""Tool definitions and response formats, as the text the model is shown.

Functions are one TypeScript namespace; a JSON-schema response format is JSON without the keys that
strict mode implies, under its name and description as in github.com/openai/harmony, docs/format.md. Rows and
figures: `docs/tokens.md`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.tokens.part import Rendering
from gateway.tokens.schema import Budget, TypeScript, comment
from gateway.values import CountKind

HEADER = "# Tools\n\n## functions\n\nnamespace functions {\n\n"
FOOTER = "\n\n} // namespace functions"

NAMESPACE = -1
"""The header's exact wording is not known; it has one token less than ours. Fitted on 38 rows, exact on 36."""

Function = Mapping[str, Any]


def functions_rendering(functions: Sequence[Function], *, is_gpt5: bool) -> Rendering:
    """`functions` are the objects with `name`, `description` and `parameters`, however they were wrapped."""
    return Rendering(functions, _functions_apart if is_gpt5 else _functions)


def _functions(functions: Sequence[Function]) -> tuple[tuple[str, ...], CountKind]:
    """All as one text: the brace of the header and the first comment's slashes are one token."""
    body, kind = _body(functions)
    return (HEADER + body + FOOTER,), kind


def _functions_apart(functions: Sequence[Function]) -> tuple[tuple[str, ...], CountKind]:
    """As GPT-5 has it, where that token is two. Fitted on 7 rows whose first function has no description."""
    body, kind = _body(functions)
    return (HEADER, body + FOOTER), kind


def _body(functions: Sequence[Function]) -> tuple[str, CountKind]:
    budget = Budget()
    text = "\n\n".join([_function(function, budget) for function in functions])
    return text, "bound" if budget.is_overdrawn else "fitted"


def _function(function: Function, budget: Budget) -> str:
    name, description, parameters = (function.get(field) for field in ("name", "description", "parameters"))
    lines = list(comment(description)) if isinstance(description, str) and description else []
    parameters = parameters if isinstance(parameters, Mapping) else {}
    has_some = bool(parameters.get("properties"))
    argument = f"_: {TypeScript(parameters, budget).object(parameters)}" if has_some else ""
    lines.append(f"type {name} = ({argument}) => any;")
    return "\n".join(lines)


def format_rendering(response_format: Mapping[str, Any]) -> Rendering:
    """`response_format` is the object with `name` and `schema`."""
    return Rendering(response_format, _format)


def _format(response_format: Mapping[str, Any]) -> tuple[tuple[str, ...], CountKind]:
    schema = json.dumps(_without_implied(response_format.get("schema"), 0), ensure_ascii=False, separators=(",", ":"))
    description = response_format.get("description")
    notes = "".join(f"{line}\n" for line in comment(description)) if isinstance(description, str) else ""
    return (f"# Response Formats\n\n## {response_format.get('name')}\n\n{notes}", schema), "fitted"


def _without_implied(schema: Any, depth: int) -> Any:
    """Strict mode forbids other properties and requires all: neither is told to the model."""
    if depth > 64:
        return None
    if isinstance(schema, list):
        return [_without_implied(item, depth + 1) for item in schema]
    if isinstance(schema, dict):
        implied = ("additionalProperties", "required")
        return {key: _without_implied(value, depth + 1) for key, value in schema.items() if key not in implied}
    return schema
