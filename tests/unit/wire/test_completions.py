from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.values import Request, Usage
from gateway.wire.completions import Completions
from gateway.wire.completions_stream import assemble, disassemble

COMPLETIONS = Completions()


def parse(**fields: Any) -> Request:
    document = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once", **fields}
    return COMPLETIONS.parse(orjson.dumps(document), document)


# ------------------------------------------------------------------ requests


@pytest.mark.parametrize(
    ("fields", "choices"),
    [
        ({}, 1),
        ({"prompt": None}, 1),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": ["a", "b"]}, 2),
        ({"prompt": [[1], [2, 3]]}, 2),
        ({"n": 2}, 2),
        ({"n": 2, "best_of": 5}, 5),
        ({"prompt": ["a", "b", "c"], "n": 2}, 6),
    ],
)
def test_what_is_generated_is_counted_over_prompts_and_choices(fields: dict[str, Any], choices: int) -> None:
    assert parse(**fields).choices == choices


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [{}]}, "prompt[0]"),
        ({"prompt": [[1.5]]}, "prompt[0]"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"best_of": 1000}, "best_of"),
        ({"stream": 1}, "stream"),
        ({"stream_options": "all"}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "include_usage"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param


def test_no_tokens_at_all_is_a_limit() -> None:
    request = parse(max_tokens=0, echo=True)
    assert (request.completion_caps, request.completion_cap) == ({"max_tokens": 0}, 0)


def test_the_query_is_the_last_prompt() -> None:
    assert COMPLETIONS.question(parse(prompt=["a", "b"])).text == "b"
    assert COMPLETIONS.question(parse(prompt=[1, 2])).text == ""
    assert COMPLETIONS.question(parse(prompt=None)).text == ""


def test_usage_is_asked_of_a_stream_and_the_cap_has_but_one_spelling() -> None:
    request = Request(
        endpoint="completions", body=b"{}", fields={"model": "m"}, model="m", is_stream=True, completion_cap=50
    )
    edits = COMPLETIONS.outgoing_edits(request, completion_field="max_completion_tokens", stream_usage=True)
    assert edits == {"max_tokens": 50, "stream_options": {"include_usage": True}}


# ------------------------------------------------------------------ answers


def answer(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1_800_000_000,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"index": index, "logprobs": None, **choice} for index, choice in enumerate(choices)],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
        **more,
    }


LOGPROBS: dict[str, list[Any]] = {
    "tokens": ["Once", " upon", " a"],
    "token_logprobs": [None, -0.5, -0.25],
    "top_logprobs": [None, {" upon": -0.5, " in": -1.5}, {" a": -0.25}],
    "text_offset": [0, 4, 9],
}


def test_an_answer_is_read() -> None:
    whole = answer({"text": " upon a", "finish_reason": "length"}, {"text": " more", "finish_reason": "stop"})
    assert COMPLETIONS.usage(whole) == Usage(input=2, output=3)
    assert COMPLETIONS.is_finished(whole)
    assert COMPLETIONS.generated_text([whole]) == " upon a more"
    assert not COMPLETIONS.is_finished(answer({"text": "x", "finish_reason": None}))
    assert not COMPLETIONS.is_finished({"choices": []})


def test_a_stream_adds_up_to_its_answer() -> None:
    def chunk(**choice: Any) -> dict[str, Any]:
        part = {"index": 0, "logprobs": None, "finish_reason": None, **choice}
        return {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [part], "usage": None}

    head = {key: [values[0]] for key, values in LOGPROBS.items()}
    rest = {key: values[1:] for key, values in LOGPROBS.items()}
    events = [
        chunk(text="Once", logprobs=head),
        chunk(text="Then", index=1),
        chunk(text=" upon a", logprobs=rest),
        chunk(text="", index=1, finish_reason="stop"),
        chunk(text="", finish_reason="length"),
        {"id": "cmpl-1", "object": "text_completion", "choices": [], "usage": {"prompt_tokens": 1}},
    ]
    assert assemble(events) == {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "m",
        "choices": [
            {"index": 0, "text": "Once upon a", "logprobs": LOGPROBS, "finish_reason": "length"},
            {"index": 1, "text": "Then", "logprobs": None, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 1},
    }
    assert head["tokens"] == ["Once"]
    assert assemble(events[:-2]) is None
    assert assemble([*events, {"error": {"message": "overloaded"}}]) is None
    assert assemble([]) is None


@pytest.mark.parametrize(
    "whole",
    [
        answer({"text": "Once upon a time there was a gateway.", "finish_reason": "stop"}),
        answer({"text": "", "finish_reason": "stop"}),
        answer({"text": "Once upon a", "logprobs": LOGPROBS, "finish_reason": "length"}),
        answer({"text": "spelled otherwise", "logprobs": LOGPROBS, "finish_reason": "length"}),
        answer({"text": "Once upon a", "logprobs": {**LOGPROBS, "top_logprobs": None}, "finish_reason": "length"}),
        answer({"text": "", "logprobs": {"tokens": [], "token_logprobs": []}, "finish_reason": "length"}),
        answer(
            {"text": "a b", "finish_reason": "stop", "stop_reason": 7}, {"text": "c" * 5000, "finish_reason": "length"}
        ),
        answer({"text": "x", "finish_reason": "stop"}, system_fingerprint="fp", service_tier=None),
    ],
)
def test_an_answer_survives_being_streamed(whole: dict[str, Any]) -> None:
    assert assemble(disassemble(whole, include_usage=True)) == whole


@given(st.lists(st.tuples(st.text(), st.sampled_from(["stop", "length"])), min_size=1, max_size=3))
def test_any_texts_survive_being_streamed(texts: list[tuple[str, str]]) -> None:
    whole = answer(*({"text": text, "finish_reason": reason} for text, reason in texts))
    assert assemble(disassemble(whole, include_usage=True)) == whole


def test_usage_comes_last_and_only_if_asked_for() -> None:
    whole = answer({"text": "Once upon a time.", "finish_reason": "stop"})
    asked = disassemble(whole, include_usage=True)
    assert [chunk["choices"][0]["text"] for chunk in asked[:-1]] == ["Once", " upon", " a", " time.", ""]
    assert all(chunk["usage"] is None for chunk in asked[:-1])
    assert (asked[-1]["choices"], asked[-1]["usage"]) == ([], whole["usage"])
    assert all("usage" not in chunk for chunk in disassemble(whole, include_usage=False))


def test_the_encoded_stream_ends_with_done() -> None:
    events = COMPLETIONS.to_stream(answer({"text": "\ud800", "finish_reason": "stop"}), include_usage=False)
    assert rb'"text":"\ud800"' in events[0]
    assert events[-1] == b"data: [DONE]\n\n"
