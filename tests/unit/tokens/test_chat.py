from typing import Any

from gateway.tokens.chat import parts
from gateway.tokens.part import Part

TOOL = {"type": "function", "function": {"name": "now"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def call(*names: str, **rest: Any) -> dict[str, Any]:
    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": '{"a": 1}'}} for name in names]
    return {"role": "assistant", "content": None, "tool_calls": calls, **rest}


def found(model: str = "gpt-4o", *messages: dict[str, Any], **fields: Any) -> list[Part]:
    return list(parts({"messages": list(messages), **fields}, model))


def test_a_plain_message_is_its_role_its_text_and_three() -> None:
    assert found("gpt-4o", user("hi")) == [
        Part("messages[0]", ("user", "hi"), 3, "exact"),
        Part("reply", (), 3, "exact"),
    ]


def test_text_parts_are_counted_apart() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert found("gpt-4o", user(content))[0] == Part("messages[0]", ("user", "a", "b"), 3, "exact")


def test_a_name_follows_its_colon() -> None:
    assert found("gpt-4o", {**user("hi"), "name": "ann"})[0] == Part("messages[0]", ("user", ":ann", "hi"), 3, "fitted")


def test_reasoning_models_are_primed_with_two() -> None:
    for model in ("gpt-5", "o3-mini", "gpt-5.4-mini", "gpt-7"):
        assert found(model, user("hi"))[-1] == Part("reply", (), 2, "fitted")


def test_what_gpt5_said_names_its_channel() -> None:
    assert found("gpt-5", {"role": "assistant", "content": "hi"})[0].fixed == 5
    assert found("gpt-5-chat-latest", {"role": "assistant", "content": "hi"})[0].fixed == 3


def test_another_vendors_model_is_a_bound() -> None:
    assert found("claude-sonnet-4-5", user("hi"))[0].kind == "bound"


def test_tools_are_appended_to_the_system_message() -> None:
    system, _, tools, _ = found("gpt-4o", {"role": "system", "content": "Be brief."}, user("hi"), tools=[TOOL])
    assert system == Part("messages[0]", ("system", "Be brief.\n\n"), 3, "exact")
    assert (tools.label, tools.fixed) == ("tools", -1)


def test_a_system_message_is_made_up_for_tools() -> None:
    assert found("gpt-4o", user("hi"), tools=[TOOL])[0] == Part("system", (), 4, "fitted")


def test_gpt5_keeps_tools_in_a_message_of_their_own() -> None:
    system, instructions, _, tools, _ = found(
        "gpt-5", {"role": "system", "content": "Brief."}, user("hi"), tools=[TOOL]
    )
    assert system == Part("system", (), 4, "fitted")
    assert instructions.texts == ("system", "Brief.")
    assert tools.fixed == 80


def test_a_call_and_its_result_name_the_function_twice() -> None:
    made, result, _ = found("gpt-4o", call("now"), {"role": "tool", "tool_call_id": "now", "content": "noon"})
    assert made == Part("messages[0]", ("now", '{"a":1}'), 8, "fitted")
    assert result == Part("messages[1]", ("now", "noon"), 5, "fitted")


def test_parallel_calls_and_results_are_one_message_each() -> None:
    made, results, question, _ = found(
        "gpt-4o",
        call("a", "b"),
        {"role": "tool", "tool_call_id": "a", "content": '{"x":  1}'},
        {"role": "tool", "tool_call_id": "b", "content": "caf\u00e9"},
        user("and?"),
    )
    uses = '{"recipient_name":"functions.a","parameters":{"a":1}},{"recipient_name":"functions.b","parameters":{"a":1}}'
    assert made == Part("messages[0]", (f'{{"tool_uses":[{uses}]}}',), 9, "fitted")
    assert results == Part("messages[1]", ('[{"x": 1}, "caf\\u00e9"]',), 11, "fitted")
    assert question.texts == ("user", "and?")


def test_gpt5_is_shown_parallel_calls_one_by_one() -> None:
    answer = {"role": "tool", "content": "1"}
    found_parts = found("gpt-5", call("a", "b"), {**answer, "tool_call_id": "a"}, {**answer, "tool_call_id": "b"})
    assert [part.texts for part in found_parts[:-1]] == [("a", '{"a":1}'), ("b", '{"a":1}'), ("a", "1"), ("b", "1")]


def test_the_old_spelling_of_functions_is_understood() -> None:
    old = found("gpt-4o", user("hi"), functions=[{"name": "now"}])
    assert old == found("gpt-4o", user("hi"), tools=[TOOL])


def test_choosing_a_function_costs_its_name() -> None:
    choice = {"type": "function", "function": {"name": "now"}}
    chosen = found("gpt-4o", user("hi"), tools=[TOOL], tool_choice=choice)[-2]
    assert chosen == Part("tool_choice", ("now",), 6, "fitted")


def test_a_response_format_is_rendered() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    assert found("gpt-4o", user("hi"), response_format=form)[-2].label == "response_format"
    assert len(found("gpt-4o", user("hi"), response_format={"type": "json_object"})) == 2


def test_nonsense_is_survived() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": "x"},
        {"role": "assistant", "tool_calls": [None, {"function": {"name": 1, "arguments": {}}}]},
        {"role": "tool", "tool_call_id": 5, "content": 7},
        {"role": "user", "content": [{"type": "text", "text": 5}, {}], "name": 3},
    ]
    assert found("gpt-4o", *messages, tools="x", functions=3, response_format=[], tool_choice=[])[-1].label == "reply"
