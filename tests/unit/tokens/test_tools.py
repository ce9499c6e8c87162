from typing import Any

from gateway.tokens.tools import FOOTER, HEADER, format_rendering, functions_rendering

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def test_functions_are_one_namespace() -> None:
    source, render = functions_rendering([WEATHER, {"name": "now"}], is_gpt5=False)
    body = "// Get the weather.\ntype get_weather = (_: { city: string }) => any;\n\ntype now = () => any;"
    assert render(source) == ((HEADER + body + FOOTER,), "fitted")


def test_gpt5s_header_is_counted_apart() -> None:
    source, render = functions_rendering(
        [{"name": "now", "parameters": {"type": "object", "properties": {}}}], is_gpt5=True
    )
    assert render(source) == ((HEADER, "type now = () => any;" + FOOTER), "fitted")


def test_a_function_of_nonsense_is_survived() -> None:
    source, render = functions_rendering([{"name": 7, "description": [], "parameters": "x"}], is_gpt5=False)
    assert render(source) == ((HEADER + "type 7 = () => any;" + FOOTER,), "fitted")


def test_a_format_is_its_schema_without_what_strict_mode_implies() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    source, render = format_rendering({"name": "answer", "description": "Short.", "schema": schema})
    texts, kind = render(source)
    assert "".join(texts) == (
        '# Response Formats\n\n## answer\n\n// Short.\n{"type":"object","properties":{"a":{"type":"string"}}}'
    )
    assert kind == "fitted"
