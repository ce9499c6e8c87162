from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.simulator import checks
from gateway.simulator.errors import ApiError

USER = {"role": "user", "content": "Hi"}
CHAT = {"model": "gpt-4o", "messages": [USER]}
CALLING = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function"}]}
TOOL = {"type": "function", "function": {"name": "f"}}

ROLES = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "The following tool_call_ids did not have response messages: "
)
UNASKED = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."


def refusal(
    check: Callable[[Mapping[str, Any]], None], fields: Mapping[str, Any]
) -> tuple[str, str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        check(fields)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")
    return caught.value.message, caught.value.param, caught.value.code


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 2, "top_p": 0.0, "n": 1, "stop": ["a"], "seed": -1, "user": None, "an_unknown_field": object()},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": True},
        {"messages": [USER, CALLING, {"role": "tool", "tool_call_id": "c1", "content": "x"}, USER]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"messages": [{"role": "user", "content": "json please"}], "response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"logprobs": True, "top_logprobs": 5},
    ],
)
def test_what_openai_takes_is_taken(more: dict[str, Any]) -> None:
    checks.chat({**CHAT, **more})


@pytest.mark.parametrize(
    ("more", "message", "param", "code"),
    [
        ({"model": None}, "you must provide a model parameter", None, None),
        ({"messages": None}, "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"),
        (
            {"messages": []},
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        ),
        (
            {"messages": ["Hi"]},
            "Invalid type for 'messages[0]': expected an object, but got a string instead.",
            "messages[0]",
            "invalid_type",
        ),
        (
            {"messages": [{"role": "me", "content": ""}]},
            "Invalid value: 'me'. Supported values are: " + ROLES,
            "messages[0].role",
            "invalid_value",
        ),
        (
            {"temperature": "hot"},
            "Invalid type for 'temperature': expected a decimal, but got a string instead.",
            "temperature",
            "invalid_type",
        ),
        (
            {"temperature": 2.5},
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
            "temperature",
            "decimal_above_max_value",
        ),
        (
            {"max_tokens": 0},
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "max_tokens",
            "integer_below_min_value",
        ),
        (
            {"stream": "true"},
            "Invalid type for 'stream': expected a boolean, but got a string instead.",
            "stream",
            "invalid_type",
        ),
        (
            {"max_tokens": 1, "max_completion_tokens": 1},
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        ),
        (
            {"stream_options": {}},
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
            None,
        ),
        ({"tool_choice": "auto"}, "'tool_choice' is only allowed when 'tools' are specified.", "tool_choice", None),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "Tool choice 'g' not found in 'tools' parameter.",
            "tool_choice",
            None,
        ),
        (
            {"tools": [{"type": "function", "function": {}}]},
            "Missing required parameter: 'tools[0].function.name'.",
            "tools[0].function.name",
            "missing_required_parameter",
        ),
        (
            {"messages": [USER, CALLING, USER]},
            UNANSWERED + "c1",
            "messages.[1].role",
            None,
        ),
        (
            {"messages": [USER, {"role": "tool", "tool_call_id": "c1", "content": "x"}]},
            UNASKED,
            "messages.[1].role",
            None,
        ),
        (
            {"response_format": {"type": "json_object"}},
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
            None,
        ),
        (
            {"top_logprobs": 2},
            "'top_logprobs' is only allowed when 'logprobs' is enabled.",
            "top_logprobs",
            None,
        ),
    ],
)
def test_chat_refuses_in_openais_words(more: dict[str, Any], message: str, param: str | None, code: str | None) -> None:
    assert refusal(checks.chat, {**CHAT, **more}) == (message, param, code)


@pytest.mark.parametrize("prompt", ["Hi", ["Hi", "Ho"], [1, 2], [[1], [2, 3]], None])
def test_completions_take_every_form_of_prompt(prompt: object) -> None:
    checks.completions({"model": "m", "prompt": prompt})


@pytest.mark.parametrize("given", ["", [], [""], [1, "a"], {}, [True], ["x"] * 2049])
def test_embeddings_refuse_input_that_is_empty_mixed_or_too_much(given: object) -> None:
    _, param, _ = refusal(checks.embeddings, {"model": "m", "input": given})
    assert param == "input"


def test_dimensions_are_for_the_models_that_have_them() -> None:
    _, param, _ = refusal(checks.embeddings, {"model": "text-embedding-ada-002", "input": "a", "dimensions": 8})
    assert param == "dimensions"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": []}, "input"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": 1}}}, "name"),
        ({"tools": [{"type": "function", "name": "not a name"}]}, "tools[0].name"),
    ],
)
def test_responses_refuse_what_names_its_field(more: dict[str, Any], param: str) -> None:
    assert refusal(checks.responses, {"model": "m", "input": "Hi", **more})[1] == param
