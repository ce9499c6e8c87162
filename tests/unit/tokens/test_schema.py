from typing import Any

import pytest

from gateway.tokens.schema import MAX_DEPTH, Budget, TypeScript


def typescript(schema: dict[str, Any]) -> str:
    return TypeScript(schema, Budget()).object(schema)


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas, "required": list(schemas)}


def test_an_object_without_comments_stands_on_one_line() -> None:
    schema = properties(a={"type": "integer"}, b={"type": "string"})
    assert typescript(schema) == "{ a: number, b: string }"


def test_what_is_not_required_is_optional() -> None:
    assert typescript({"properties": {"a": {"type": "string"}}}) == "{ a?: string }"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "null"}, "null"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array"}, "any[]"),
        ({"type": "object"}, "object"),
        ({"enum": ["celsius", 1, None]}, '"celsius" | 1 | null'),
        ({"const": "fixed"}, '"fixed"'),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]}, "string | number[]"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        (properties(x={"type": "string"}), "{ x: string }"),
        ({}, "any"),
        ({"type": "date"}, "any"),
        (True, "any"),
    ],
)
def test_types_have_their_typescript_names(schema: Any, expected: str) -> None:
    assert typescript(properties(a=schema)) == f"{{ a: {expected} }}"


def test_titles_descriptions_and_defaults_are_comments_above() -> None:
    schema = properties(
        city={"type": "string", "title": "City", "description": "Where.\n\n  Anywhere. ", "default": "x"}
    )
    assert typescript(schema) == '{\n// City\n// Where.\n//\n// Anywhere.\n// default: "x"\ncity: string,\n}'


def test_the_outermost_object_carries_its_own_comments_and_inner_ones_do_not() -> None:
    inner = {**properties(y={"type": "string"}), "description": "Inner."}
    schema = {**properties(x=inner), "title": "Arguments"}
    assert typescript(schema) == "{\n// Arguments\n// Inner.\nx: { y: string },\n}"


def test_references_are_written_out() -> None:
    schema = {**properties(a={"$ref": "#/$defs/A"}), "$defs": {"A": properties(b={"type": "string"})}}
    assert typescript(schema) == "{ a: { b: string } }"


def test_a_reference_to_nowhere_is_any() -> None:
    assert (
        typescript(properties(a={"$ref": "#/$defs/Gone"}, b={"$ref": "https://example.org/x"})) == "{ a: any, b: any }"
    )


def test_a_schema_that_contains_itself_ends() -> None:
    schema: dict[str, Any] = properties(child={"$ref": "#"})
    budget = Budget()
    assert TypeScript(schema, budget).object(schema).count("child") == MAX_DEPTH + 1
    assert budget.is_overdrawn


def test_references_that_double_are_cut() -> None:
    pair = [{"$ref": f"#/$defs/{level + 1}"} for level in range(40)]
    defs = {str(level): {"anyOf": [pair[level], pair[level]]} for level in range(40)}
    schema = {**properties(a={"$ref": "#/$defs/0"}), "$defs": defs}
    budget = Budget(1000)
    assert len(TypeScript(schema, budget).object(schema)) < 10_000
    assert budget.is_overdrawn
