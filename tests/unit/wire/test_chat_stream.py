"""Chat answers: chunks → object → chunks, without loss."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.wire.chat_stream import assemble, disassemble, encode_stream


def chunk(delta: Mapping[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a live stream; `more` replaces or adds top-level fields."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_800_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}],
        **more,
    }


def answer(message: Mapping[str, Any], finish: str = "stop", logprobs: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", **message},
                "logprobs": logprobs,
                "finish_reason": finish,
            }
        ],
        **more,
    }


def message_of(*deltas: Mapping[str, Any]) -> dict[str, Any]:
    """The message that `deltas` add up to."""
    whole = assemble([*(chunk(delta) for delta in deltas), chunk(finish="stop")])
    assert whole is not None
    message = whole["choices"][0]["message"]
    assert isinstance(message, dict)
    return message


OPENING = {"role": "assistant", "content": "", "refusal": None}
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


# ------------------------------------------------------------------ assemble


def test_a_stream_adds_up_to_the_answer_it_would_have_been() -> None:
    events = [
        chunk(OPENING, usage=None, obfuscation="x7"),
        chunk({"content": "Hello"}, usage=None, obfuscation="q"),
        chunk({"content": " world"}, usage=None),
        chunk(finish="stop", usage=None),
        chunk(choices=[], usage=USAGE),
    ]
    assert assemble(events) == answer({"content": "Hello world", "refusal": None}, usage=USAGE)


def test_usage_is_taken_from_any_chunk_and_absent_when_none_has_it() -> None:
    early = assemble([chunk(OPENING, usage=USAGE), chunk(finish="stop", usage=None)])
    without = assemble([chunk(OPENING), chunk(finish="stop", usage=None)])
    assert early is not None
    assert early["usage"] == USAGE
    assert without is not None
    assert "usage" not in without


@pytest.mark.parametrize(
    "events",
    [
        [],
        [chunk(choices=[], usage=USAGE)],
        [chunk(OPENING), chunk({"content": "Hel"})],
        [chunk(OPENING), chunk(finish="stop"), {"error": {"message": "overloaded"}}],
        [chunk(OPENING), chunk(finish="stop"), chunk(choices=[{"index": 1, "delta": {"content": "B"}}])],
    ],
    ids=["nothing", "no choice", "cut", "error at the end", "second choice unfinished"],
)
def test_what_did_not_come_to_its_end_is_no_answer(events: list[dict[str, Any]]) -> None:
    assert assemble(events) is None


def test_choices_that_come_interleaved_are_told_apart_and_ordered() -> None:
    def part(index: int, text: str | None, finish: str | None = None) -> dict[str, Any]:
        delta = {} if text is None else {"content": text}
        return chunk(choices=[{"index": index, "delta": delta, "finish_reason": finish}])

    whole = assemble([part(1, "b1"), part(0, "a1"), part(1, "b2"), part(0, None, "length"), part(1, None, "stop")])
    assert whole is not None
    assert whole["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "a1"}, "finish_reason": "length"},
        {"index": 1, "message": {"role": "assistant", "content": "b1b2"}, "finish_reason": "stop"},
    ]


def test_tool_calls_are_put_together_by_index() -> None:
    def call(index: int, **part: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **part}]}

    message = message_of(
        {"role": "assistant", "content": None},
        call(0, id="call_a", type="function", function={"name": "weather", "arguments": ""}),
        call(0, function={"arguments": '{"city":'}),
        call(1, id="call_b", type="custom", custom={"name": "sql", "input": ""}),
        call(0, function={"arguments": '"Oslo"}'}),
        call(1, custom={"input": "SELECT 1"}),
    )
    assert message == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
            {"id": "call_b", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}},
        ],
    }


def test_calls_that_a_server_numbers_all_alike_stay_apart() -> None:
    def whole_call(name: str) -> dict[str, Any]:
        return {"index": 0, "id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": "{}"}}

    message = message_of({"tool_calls": [whole_call("a")]}, {"tool_calls": [whole_call("b")]})
    assert [call["id"] for call in message["tool_calls"]] == ["call_a", "call_b"]


def test_names_repeated_in_every_chunk_are_taken_once() -> None:
    part = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{"}}
    more = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "}"}}
    message = message_of(
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"tool_calls": [part]},
        {"tool_calls": [more]},
    )
    assert message["role"] == "assistant"
    assert message["content"] == "ab"
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}


def test_refusals_reasoning_and_function_calls_add_up() -> None:
    message = message_of(
        {"role": "assistant", "content": None, "refusal": None},
        {"reasoning_content": "Let me"},
        {"reasoning_content": " think."},
        {"refusal": "I can"},
        {"refusal": "not."},
        {"function_call": {"name": "f", "arguments": "{"}},
        {"function_call": {"arguments": "}"}},
    )
    assert message == {
        "role": "assistant",
        "content": None,
        "refusal": "I cannot.",
        "reasoning_content": "Let me think.",
        "function_call": {"name": "f", "arguments": "{}"},
    }


def test_log_probabilities_are_continued() -> None:
    def logged(token: str) -> dict[str, Any]:
        entry = {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []}
        logprobs: dict[str, Any] = {"content": [entry], "refusal": None}
        return chunk(choices=[{"index": 0, "delta": {"content": token}, "logprobs": logprobs, "finish_reason": None}])

    whole = assemble([chunk(OPENING), logged("Hi"), logged("!"), chunk(finish="stop")])
    assert whole is not None
    logprobs = whole["choices"][0]["logprobs"]
    assert [entry["token"] for entry in logprobs["content"]] == ["Hi", "!"]
    assert logprobs["refusal"] is None


@pytest.mark.parametrize(("pieces", "data"), [(["aGk=", "IQ=="], "aGkh"), (["aGk", "h"], "aGkh"), (["a=", "x"], "a=x")])
def test_sound_is_joined_whether_its_pieces_are_padded_or_not(pieces: list[str], data: str) -> None:
    message = message_of(
        {"audio": {"id": "audio_1", "transcript": "h"}},
        *({"audio": {"data": piece}} for piece in pieces),
        {"audio": {"transcript": "i", "expires_at": 5}},
    )
    assert message["audio"] == {"id": "audio_1", "transcript": "hi", "data": data, "expires_at": 5}


def test_an_empty_first_chunk_does_not_name_the_answer() -> None:
    azure = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"index": 0}]}
    whole = assemble([azure, chunk(OPENING), chunk(finish="stop")])
    assert whole is not None
    assert (whole["id"], whole["created"], whole["object"]) == ("chatcmpl-1", 1_800_000_000, "chat.completion")
    assert whole["prompt_filter_results"] == [{"index": 0}]


def test_events_are_left_as_they_were() -> None:
    events = [
        chunk({"annotations": [{"type": "url_citation"}], "audio": {"data": "aGk="}}),
        chunk({"annotations": [{"type": "url_citation"}], "audio": {"data": "aGk="}}),
        chunk({"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f", "arguments": "{}"}}]}),
        chunk(finish="stop"),
    ]
    before = orjson.dumps(events)
    assemble(events)
    assert orjson.dumps(events) == before


# ------------------------------------------------------------------ disassemble


def test_an_answer_is_replayed_word_by_word_like_a_live_stream() -> None:
    chunks = disassemble(answer({"content": "One two\n three", "refusal": None}, usage=USAGE), include_usage=True)
    assert [part["choices"][0]["delta"] for part in chunks[:-1]] == [
        {"role": "assistant", "refusal": None, "content": ""},
        {"content": "One"},
        {"content": " two"},
        {"content": "\n three"},
        {},
    ]
    assert [part["choices"][0]["finish_reason"] for part in chunks[:-1]] == [None, None, None, None, "stop"]
    assert all(part["usage"] is None for part in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == USAGE


def test_without_include_usage_no_chunk_mentions_it() -> None:
    chunks = disassemble(answer({"content": "One"}, usage=USAGE), include_usage=False)
    assert all("usage" not in part for part in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_tool_call_is_opened_with_empty_arguments() -> None:
    call = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    chunks = disassemble(answer({"content": None, "tool_calls": [call]}, "tool_calls"), include_usage=False)
    assert [part["choices"][0]["delta"] for part in chunks] == [
        {"role": "assistant", "content": None},
        {
            "tool_calls": [
                {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ' "Oslo"}'}}]},
        {},
    ]


def test_every_token_comes_with_its_log_probability() -> None:
    entries: list[Any] = [{"token": token, "logprob": -0.1, "bytes": None} for token in ("Hel", "lo", " you")]
    logged = answer({"content": "Hello you"}, logprobs={"content": entries, "refusal": None})
    chunks = disassemble(logged, include_usage=False)
    parts = [part["choices"][0] for part in chunks]
    assert [part["delta"].get("content") for part in parts] == ["", "Hel", "lo", " you", None]
    assert [part["logprobs"] and part["logprobs"]["content"] for part in parts[1:]] == [*([e] for e in entries), None]


@pytest.mark.parametrize("text", ["word " * 10_000, "x" * 100_000, " " * 5_000, "漢" * 3_000])
def test_a_long_answer_comes_in_a_bounded_number_of_pieces(text: str) -> None:
    chunks = disassemble(answer({"content": text}), include_usage=False)
    assert len(chunks) <= 32 + 2
    assert "".join(part["choices"][0]["delta"].get("content", "") for part in chunks) == text


def test_the_stream_ends_in_done_and_holds_one_event_an_item() -> None:
    events = encode_stream(answer({"content": "Hi \ud800"}), include_usage=False)
    assert events[-1] == b"data: [DONE]\n\n"
    assert all(event.startswith(b"data: {") and event.endswith(b"}\n\n") for event in events[:-1])
    deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in events[:-1]]
    assert deltas[1:3] == [{"content": "Hi"}, {"content": " \ud800"}]


# ------------------------------------------------------------------ there and back

text = st.text(max_size=200)
some_text = st.text(min_size=1, max_size=60)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | some_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(some_text, inner, max_size=3),
    max_leaves=5,
)
token = st.fixed_dictionaries(
    {
        "token": some_text,
        "logprob": st.floats(-20, 0),
        "bytes": st.none() | st.lists(st.integers(0, 255), max_size=3),
        "top_logprobs": st.just([]),
    }
)
function_call = st.fixed_dictionaries(
    {
        "id": some_text,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": some_text, "arguments": text}),
    }
)
custom_call = st.fixed_dictionaries(
    {"id": some_text, "type": st.just("custom"), "custom": st.fixed_dictionaries({"name": some_text, "input": text})}
)
audio = st.fixed_dictionaries(
    {
        "id": some_text,
        "transcript": text,
        "data": st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode()),
        "expires_at": st.integers(0, 2**31),
    }
)
message = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | text},
    optional={
        "refusal": st.none() | text,
        "tool_calls": st.lists(function_call | custom_call, min_size=1, max_size=3),
        "function_call": st.fixed_dictionaries({"name": some_text, "arguments": text}),
        "audio": st.none() | audio,
        "annotations": st.just([]),
        "reasoning_content": text,
        "x_unknown": json_value,
    },
)
logprobs = st.none() | st.fixed_dictionaries(
    {"content": st.none() | st.lists(token, max_size=4), "refusal": st.none() | st.lists(token, max_size=2)}
)
choice = st.fixed_dictionaries(
    {"message": message, "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"])},
    optional={"logprobs": logprobs, "content_filter_results": json_value},
)
usage = st.fixed_dictionaries(
    {
        "prompt_tokens": st.integers(0, 10**6),
        "completion_tokens": st.integers(0, 10**6),
        "total_tokens": st.integers(0, 10**6),
        "prompt_tokens_details": st.fixed_dictionaries({"cached_tokens": st.integers(0, 10**6)}),
    }
)
answers = st.fixed_dictionaries(
    {
        "id": some_text,
        "object": st.just("chat.completion"),
        "created": st.integers(1, 2**31),
        "model": some_text,
        "choices": st.lists(choice, min_size=1, max_size=3).map(
            lambda choices: [{"index": index, **part} for index, part in enumerate(choices)]
        ),
    },
    optional={
        "usage": usage,
        "system_fingerprint": st.none() | some_text,
        "service_tier": st.sampled_from(["default", "flex", "priority"]),
        "x_citations": json_value,
    },
)


@given(answers)
def test_an_answer_taken_apart_and_put_together_is_the_same(whole: dict[str, Any]) -> None:
    assert assemble(disassemble(whole, include_usage=True)) == whole


@given(answers)
def test_both_forms_have_the_types_of_the_real_client(whole: dict[str, Any]) -> None:
    ChatCompletion.model_validate(whole)
    for part in disassemble(whole, include_usage=True):
        for piece in part["choices"]:
            calls = piece["delta"].get("tool_calls") or []
            assume(not any("custom" in call for call in calls))  # which the client reads, but has no type for yet
        ChatCompletionChunk.model_validate(part)


def test_the_real_client_adds_a_replayed_stream_up_to_the_answer() -> None:
    entries: list[Any] = [{"token": token, "logprob": -0.1, "bytes": None} for token in ("He", "y", " you")]
    call = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    whole = answer({"content": "Hey you", "refusal": None}, logprobs={"content": entries, "refusal": None}, usage=USAGE)
    second = answer({"content": None, "refusal": None, "tool_calls": [call, call | {"id": "call_b"}]}, "tool_calls")
    third = answer({"content": None, "refusal": "I would rather not."})
    whole["choices"] += [second["choices"][0] | {"index": 1}, third["choices"][0] | {"index": 2}]

    state = ChatCompletionStreamState()
    for part in disassemble(whole, include_usage=True):
        state.handle_chunk(ChatCompletionChunk.model_construct(**part))
    final = state.get_final_completion().model_dump(exclude_none=True)

    for read, sent in zip(final["choices"], whole["choices"], strict=True):
        assert read["finish_reason"] == sent["finish_reason"]
        assert read["message"].get("content") == sent["message"]["content"]
        assert read["message"].get("refusal") == sent["message"]["refusal"]
    assert [entry["token"] for entry in final["choices"][0]["logprobs"]["content"]] == ["He", "y", " you"]
    assert [(read["id"], read["function"]) for read in final["choices"][1]["message"]["tool_calls"]] == [
        ("call_a", {"name": "weather", "arguments": '{"city": "Oslo"}'}),
        ("call_b", {"name": "weather", "arguments": '{"city": "Oslo"}'}),
    ]
    assert final["usage"] == USAGE


@given(answers)
def test_the_bytes_of_the_stream_add_up_to_the_answer(whole: dict[str, Any]) -> None:
    *events, done = encode_stream(whole, include_usage=True)
    assert done == b"data: [DONE]\n\n"
    assert assemble([json.loads(event.removeprefix(b"data: ")) for event in events]) == whole
