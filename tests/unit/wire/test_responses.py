from typing import Any

import orjson
import pytest

from gateway.errors import BadRequest
from gateway.values import Request, Usage
from gateway.wire.responses import Responses

RESPONSES = Responses()
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 150,
}


def parse(**fields: Any) -> Request:
    document = {"model": "gpt-5-mini", "input": "hello", **fields}
    return RESPONSES.parse(orjson.dumps(document), document)


def test_a_plain_request_is_read() -> None:
    request = parse(max_output_tokens=20, stream=True)
    assert (request.model, request.is_stream, request.choices) == ("gpt-5-mini", True, 1)
    assert (request.completion_caps, request.completion_cap) == ({"max_output_tokens": 20}, 20)


@pytest.mark.parametrize(
    "fields",
    [
        {"input": None, "prompt": {"id": "pmpt_1"}},
        {"input": [], "previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}, "background": True},
        {"instructions": None, "store": None, "max_output_tokens": None},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "content": None}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text"}]}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
)
def test_what_the_api_allows_passes(fields: dict[str, Any]) -> None:
    assert parse(**fields).completion_cap is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"input": 3}, "input"),
        ({"input": {}}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"role": 1}]}, "input[0].role"),
        ({"input": [{"type": 1}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["a"]}]}, "input[0].content[0]"),
        ({"instructions": []}, "instructions"),
        ({"previous_response_id": 1}, "previous_response_id"),
        ({"store": "no"}, "store"),
        ({"background": 1}, "background"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param
    assert param in caught.value.message


def test_a_key_of_an_item_that_stands_twice_is_refused() -> None:
    body = b'{"model":"m","input":[{"role":"user","content":"short","content":"long"}]}'
    with pytest.raises(BadRequest, match="'content' stands more than once in one object of 'input'"):
        RESPONSES.parse(body, orjson.loads(body))


def test_the_query_is_what_the_user_asked_last() -> None:
    parts = [{"type": "input_text", "text": "two"}, {"type": "input_image"}, {"type": "input_text", "text": "b"}]
    items = [
        {"role": "user", "content": "one"},
        {"type": "message", "role": "user", "content": parts},
        {"type": "function_call_output", "output": "no"},
    ]
    assert RESPONSES.question(parse(input=items)).text == "two\nb"
    assert RESPONSES.question(parse(input="one")).text == "one"
    assert RESPONSES.question(parse(input=None)).text == ""
    assert RESPONSES.question(parse(input=[{"role": "system", "content": "x"}])).text == ""


def test_only_a_missing_cap_is_added() -> None:
    request = Request(endpoint="responses", body=b"{}", fields={}, model="m", is_stream=True, completion_cap=50)
    edits = RESPONSES.outgoing_edits(request, completion_field="max_tokens", stream_usage=True)
    assert edits == {"max_output_tokens": 50}
    edits = RESPONSES.outgoing_edits(parse(max_output_tokens=20), completion_field="max_tokens", stream_usage=True)
    assert edits == {}


def test_usage_is_read_of_an_answer_and_of_the_event_that_carries_it() -> None:
    expected = Usage(input=100, output=50, cached_input=64, reasoning=30)
    assert RESPONSES.usage({"usage": USAGE}) == expected
    assert RESPONSES.usage({"type": "response.completed", "response": {"usage": USAGE}}) == expected
    assert RESPONSES.usage({"type": "response.created", "response": {"usage": None}}) is None
    assert RESPONSES.usage({"type": "response.created", "response": None}) is None


@pytest.mark.parametrize(
    ("status", "is_finished"),
    [("completed", True), ("incomplete", True), ("failed", False), ("queued", False), ("in_progress", False)],
)
def test_an_answer_is_finished_when_nothing_more_will_come(status: str, is_finished: bool) -> None:
    assert RESPONSES.is_finished({"status": status}) is is_finished


def test_what_was_generated_is_put_together_from_an_answer_or_its_deltas() -> None:
    answer = {
        "id": "resp_1",
        "instructions": "be brief",
        "output": [
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm. "}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello. "}]},
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No. "}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
        ],
    }
    assert RESPONSES.generated_text([answer]) == "Hm. Hello. No. f{}"
    deltas: list[dict[str, Any]] = [
        {"type": "response.created", "response": answer},
        {"type": "response.output_text.delta", "delta": "Hel"},
        {"type": "response.output_text.delta", "delta": "lo"},
        {"type": "response.output_text.done", "text": "Hello"},
        {"type": "response.function_call_arguments.delta", "delta": "{}"},
        {"type": "response.audio.delta", "delta": "UklGRg=="},
    ]
    assert RESPONSES.generated_text(deltas) == "Hello{}"
