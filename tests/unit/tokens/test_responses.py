from typing import Any

from gateway.tokens.part import Part
from gateway.tokens.responses import parts

TOOL = {"type": "function", "name": "now"}


def found(model: str = "gpt-4o", **fields: Any) -> list[Part]:
    return list(parts(fields, model))


def test_instructions_and_a_string_are_two_messages() -> None:
    assert found(instructions="Be brief.", input="hi") == [
        Part("instructions", ("system", "Be brief."), 3, "exact"),
        Part("input", ("user", "hi"), 3, "exact"),
        Part("reply", (), 3, "exact"),
    ]


def test_tools_stand_in_a_message_of_their_own() -> None:
    assert found(input="hi", tools=[TOOL])[0].fixed == -3
    assert found("gpt-5", input="hi", tools=[TOOL])[0].fixed == 2


def test_an_empty_list_of_tools_costs_nothing() -> None:
    assert found(input="hi", tools=[]) == found(input="hi")


def test_hosted_tools_are_a_documented_bound() -> None:
    tool = found(input="hi", tools=[{"type": "code_interpreter"}])[0]
    assert tool == Part("tools.code_interpreter", (), 1470, "bound")


def test_a_call_that_the_api_made_costs_three_more() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "now", "arguments": "{}"}
    answer = {"type": "function_call_output", "call_id": "c", "output": "noon"}
    assert found(input=[call, answer])[:2] == [
        Part("input[0]", ("now", "{}"), 6, "fitted"),
        Part("input[1]", ("now", "noon"), 5, "fitted"),
    ]
    assert found(input=[{**call, "id": "fc_1"}, answer])[0].fixed == 9
    assert found("gpt-5", input=[{**call, "id": "fc_1"}, answer])[0].fixed == 18


def test_calls_in_a_row_were_made_in_parallel() -> None:
    calls = [{"type": "function_call", "call_id": name, "name": name, "arguments": "{}"} for name in "ab"]
    answers = [{"type": "function_call_output", "call_id": name, "output": "1"} for name in "ab"]
    made, results, _ = found(input=[*calls, *answers])
    assert "tool_uses" in made.texts[0]
    assert results.texts == ("[1, 1]",)


def test_sealed_reasoning_counts_until_the_user_speaks_again() -> None:
    sealed = {"type": "reasoning", "encrypted_content": "A" * 1336}
    user = {"role": "user", "content": "hi"}
    assert [part.fixed for part in found("gpt-5", input=[user, sealed])] == [3, 74, 2]
    assert [part.fixed for part in found("gpt-5", input=[sealed, user])] == [0, 3, 2]


def test_what_is_kept_elsewhere_makes_a_bound() -> None:
    for field in ("previous_response_id", "conversation", "prompt"):
        assert Part("unseen", (), 0, "bound") in found(input="hi", **{field: "x"})


def test_a_required_tool_costs_nine_before_gpt5() -> None:
    assert Part("tool_choice", (), 9, "fitted") in found(input="hi", tools=[TOOL], tool_choice="required")
    labels = [part.label for part in found("gpt-5", input="hi", tools=[TOOL], tool_choice="required")]
    assert "tool_choice" not in labels


def test_nonsense_is_survived() -> None:
    items = [1, None, {"type": "function_call"}, {"type": "mystery", "output": 3}, {"type": "reasoning"}, {"role": 5}]
    assert found(input=items, tools="x", text="x", reasoning=1, instructions=[])[-1].label == "reply"
