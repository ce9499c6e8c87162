import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import json_bytes
from gateway.wire.prompted import Attached, Message, defaults, filled

MESSAGES: list[Message] = [("system", ["Be brief."]), ("user", ["Hi."])]
JSON = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), st.lists, max_leaves=4)


def made(endpoint: str, fields: dict[str, Any], preset: dict[str, Any], *, spaced: bool = False) -> dict[str, Any]:
    separators = (", ", ": ") if spaced else (",", ":")
    body = json.dumps({"prompt": {"id": "x"}, **fields}, separators=separators, ensure_ascii=False).encode()
    return dict(json.loads(filled(endpoint, body, json_bytes.loads(body), MESSAGES, preset)))


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4), st.sampled_from(["chat", "responses"]))
def test_either_way_of_writing_makes_the_same_request(more: dict[str, Any], endpoint: str) -> None:
    own = {"messages": [{"role": "user", "content": "And?"}], "input": "And?"}
    fields = {**more, **own}
    compact, spaced = made(endpoint, fields, {"model": "m"}), made(endpoint, fields, {"model": "m"}, spaced=True)
    assert compact == spaced
    assert "prompt" not in compact
    assert compact["model"] == "m"
    assert all(compact[name] == given for name, given in more.items() if name not in ("messages", "input", "model"))


@pytest.mark.parametrize("spaced", [True, False])
@pytest.mark.parametrize(
    ("own", "instructions", "items"),
    [
        (None, "Be brief.", ["Hi."]),
        ("And?", "Be brief.", ["Hi.", "And?"]),
        ([], "Be brief.", ["Hi."]),
        ([{"role": "user", "content": "And?"}], "Be brief.", ["Hi.", "And?"]),
    ],
)
def test_the_input_comes_after_the_prompt(own: Any, instructions: str, items: list[str], spaced: bool) -> None:
    fields = made("responses", {"input": own}, {}, spaced=spaced)
    assert fields["instructions"] == instructions
    assert [item["content"] for item in fields["input"]] == items


def test_a_prompt_that_only_instructs_is_the_input_where_there_is_no_other() -> None:
    body = b'{"prompt":{"id":"x"}}'
    only: list[Message] = [("system", ["Be brief."])]
    assert json.loads(filled("responses", body, json.loads(body), only, {})) == {
        "input": [{"role": "system", "content": "Be brief."}]
    }
    body = b'{"prompt":{"id":"x"},"input":"Hi"}'
    assert json.loads(filled("responses", body, json.loads(body), only, {})) == {
        "instructions": "Be brief.",
        "input": "Hi",
    }


def test_a_limit_by_another_name_is_the_same_limit() -> None:
    preset = defaults("chat", {"max_output_tokens": 9}, model=None, tools=None, response_format=None)
    assert preset == {"max_completion_tokens": 9}
    assert "max_completion_tokens" not in made("chat", {"max_tokens": 5}, preset)
    assert made("chat", {"max_tokens": None}, preset)["max_completion_tokens"] == 9


@pytest.mark.parametrize(
    ("endpoint", "parameters", "fields"),
    [
        ("chat", {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}},
         {"reasoning_effort": "low", "verbosity": "low"}),
        ("responses", {"reasoning_effort": "low", "verbosity": "low"},
         {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}}),
        ("chat", {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}},
         {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}),
        ("chat", {"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        ("chat", {"stream": True, "model": "x", "messages": [], "temperature": 0}, {"temperature": 0}),
        ("chat", {"instructions": "x"}, {}),
        ("responses", {"instructions": "x"}, {"instructions": "x"}),
    ],
)  # fmt: skip
def test_a_version_speaks_either_apis_language(
    endpoint: str, parameters: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert defaults(endpoint, parameters, model=None, tools=None, response_format=None) == fields


def test_tools_are_nested_for_chat_and_flat_for_responses() -> None:
    nested = {"type": "function", "function": {"name": "f", "parameters": {}}}
    flat = {"type": "function", "name": "f", "parameters": {}}
    hosted = {"type": "web_search"}
    for endpoint, tool in (("chat", nested), ("responses", flat)):
        preset = defaults(endpoint, {}, model=None, tools=[nested, flat, hosted], response_format=None)
        assert preset["tools"] == [tool, tool, hosted]


def test_a_part_of_text_and_reasoning_may_be_set() -> None:
    preset = {"text": {"verbosity": "low", "format": {"type": "json_object"}}, "reasoning": {"effort": "low"}}
    fields = made("responses", {"text": {"verbosity": "high"}, "reasoning": None}, preset)
    assert fields["text"] == {"verbosity": "high", "format": {"type": "json_object"}}
    assert fields["reasoning"] == {"effort": "low"}


def test_an_image_is_a_part_in_either_form() -> None:
    image = Attached("photo", {"type": "input_image", "image_url": "https://x/y"})
    body = b'{"prompt":{"id":"x"}}'
    chat = json.loads(filled("chat", body, json.loads(body), [("user", ["See ", image])], {}))
    assert chat["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": "https://x/y"}}
    responses = json.loads(filled("responses", body, json.loads(body), [("user", [image])], {}))
    assert responses["input"][0]["content"] == [{"type": "input_image", "image_url": "https://x/y"}]
