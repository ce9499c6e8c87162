import random
from typing import Any

import pytest

from gateway.simulator.tools import Tool, offer, to_call


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


WEATHER_AND_TIME = [function("get_weather"), function("get_time")]


def called(prompt: str, *, has_result: bool = False, **fields: Any) -> list[str]:
    found = offer({"tools": WEATHER_AND_TIME, **fields}, has_result=has_result)
    return [tool.name for tool in to_call(found, prompt, random.Random(1))]


@pytest.mark.parametrize(
    ("prompt", "fields", "names"),
    [
        ("Weather in Rome?", {}, ["get_weather"]),
        ("What are the weather and the time?", {}, ["get_weather", "get_time"]),
        ("What are the weather and the time?", {"parallel_tool_calls": False}, ["get_weather"]),
        ("Weather?", {"tool_choice": "none"}, []),
        ("Weather?", {"tool_choice": "required"}, ["get_weather"]),
        ("Weather?", {"tool_choice": {"type": "function", "function": {"name": "get_time"}}}, ["get_time"]),
        ("Weather?", {"tool_choice": {"type": "function", "name": "get_time"}}, ["get_time"]),
        (
            "Weather?",
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [function("get_time")]},
                }
            },
            ["get_time"],
        ),
    ],
)
def test_the_tools_that_the_prompt_and_the_choice_ask_for_are_called(
    prompt: str, fields: dict[str, Any], names: list[str]
) -> None:
    assert called(prompt, **fields) == names


def test_some_tool_is_called_when_none_is_mentioned() -> None:
    assert len(called("Hello!")) == 1


def test_a_result_is_followed_by_an_answer_unless_a_call_is_required() -> None:
    assert called("Weather?", has_result=True) == []
    assert called("Weather?", has_result=True, tool_choice="required") == ["get_weather"]


def test_hosted_tools_are_never_called_and_flat_ones_understood() -> None:
    found = offer(
        {"tools": [{"type": "web_search"}, {"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]},
        has_result=False,
    )
    assert found.tools == (Tool("f", "function", {"type": "object"}), Tool("c", "custom", {}))
