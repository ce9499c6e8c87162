from typing import Any

import orjson
import pytest

from gateway.errors import BadRequest
from gateway.values import Request, Usage
from gateway.wire.chat import Chat

CHAT = Chat()
HELLO = [{"role": "user", "content": "hello"}]


def parse(**fields: Any) -> Request:
    document = {"model": "gpt-5-mini", "messages": HELLO, **fields}
    return CHAT.parse(orjson.dumps(document), document)


def test_a_plain_request_is_read() -> None:
    request = parse()
    assert (request.model, request.is_stream, request.wants_usage, request.choices) == ("gpt-5-mini", False, False, 1)
    assert request.completion_caps == {}
    assert request.completion_cap is None


def test_both_spellings_of_the_cap_are_read() -> None:
    request = parse(max_tokens=10, max_completion_tokens=20)
    assert request.completion_caps == {"max_tokens": 10, "max_completion_tokens": 20}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": 1000}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param
    assert param.split(".")[-1].split("[")[0] in caught.value.message


def test_a_key_that_stands_twice_is_refused() -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"x"}],"model":"b"}'
    with pytest.raises(BadRequest, match="'model' stands more than once"):
        CHAT.parse(body, orjson.loads(body))


def test_the_query_is_what_the_user_asked_last() -> None:
    parts = [
        {"type": "text", "text": "two"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "b"},
    ]
    messages = [*HELLO, {"role": "user", "content": parts}, {"role": "assistant", "content": "no"}]
    assert CHAT.question(parse(messages=messages)).text == "two\nb"
    assert CHAT.question(parse(messages=[{"role": "system", "content": "x"}])).text == ""


def test_usage_is_asked_of_a_stream_and_other_options_stay() -> None:
    request = parse(stream=True, stream_options={"include_obfuscation": False})
    edits = CHAT.outgoing_edits(request, completion_field="max_tokens", stream_usage=True)
    assert edits == {"stream_options": {"include_obfuscation": False, "include_usage": True}}


@pytest.mark.parametrize(
    "request_", [parse(stream=True, stream_options={"include_usage": True}), parse(), parse(stream_options=None)]
)
def test_nothing_is_changed_without_need(request_: Request) -> None:
    assert CHAT.outgoing_edits(request_, completion_field="max_tokens", stream_usage=True) == {}


def test_usage_is_read_with_its_details() -> None:
    answer = {
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 30},
        }
    }
    assert CHAT.usage(answer) == Usage(input=100, output=50, cached_input=64, reasoning=30)


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], {"prompt_tokens": -1, "completion_tokens": 1}, {"prompt_tokens": "9"}, {"prompt_tokens": True}],
)
def test_an_unusable_usage_is_none(usage: Any) -> None:
    assert CHAT.usage({"usage": usage}) is None


def test_a_cost_the_upstream_reports_is_kept_in_nano_dollars() -> None:
    usage = CHAT.usage({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.00014}})
    assert usage is not None
    assert usage.cost_nanousd == 140_000


def test_generated_text_holds_all_that_was_generated() -> None:
    chunks: list[dict[str, Any]] = [
        {"choices": [{"delta": {"role": "assistant", "content": "Hel"}}]},
        {"choices": [{"delta": {"content": "lo"}}, {"delta": {"refusal": "No"}}]},
        {
            "choices": [
                {
                    "delta": {
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                        ]
                    }
                }
            ]
        },
        {"choices": [], "usage": {}},
    ]
    assert CHAT.generated_text(chunks) == "HelloNof{}"
    assert CHAT.generated_text([{"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}]) == "Hi"


def test_only_an_event_without_choices_is_usage_only() -> None:
    assert CHAT.is_usage_only({"choices": [], "usage": {"prompt_tokens": 1}})
    assert not CHAT.is_usage_only({"choices": [{}], "usage": {"prompt_tokens": 1}})
    assert not CHAT.is_usage_only({"choices": [], "usage": None})
