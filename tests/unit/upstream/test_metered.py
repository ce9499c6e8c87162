"""A stream is cut at its cap, wherever its events lie in what is read; until then nothing of it changes."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from gateway.upstream.metered import MeteredCollector
from gateway.values import Usage
from gateway.wire.chat import Chat
from gateway.wire.endpoint import Endpoint, Json
from gateway.wire.responses import Responses
from gateway.wire.responses_stream import encode_stream
from gateway.wire.sse import DONE, encode, events


def words(text: str) -> int:
    """Stands in for a tokenizer: a token a word."""
    return len(text.split())


def collector(cap: int, endpoint: Endpoint | None = None, *, tells_usage: bool = False) -> MeteredCollector:
    found = endpoint or Chat()

    def ending(seen: Sequence[Json], tokens: int) -> bytes:
        return found.cut_short(seen, choices=1, usage=Usage(8, tokens), tells_usage=tells_usage)

    return MeteredCollector(found, hide_usage=True, cap=cap, count=words, ending=ending)


def chunk(text: str, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return encode(orjson.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **more}))


def datas(raw: bytes) -> list[Any]:
    return [orjson.loads(event.data) if event.data != b"[DONE]" else "[DONE]" for event in events(raw)]


STREAM = [chunk(f"w{n} ") for n in range(100)]


@pytest.mark.parametrize("at_once", [1, 2, 7, 100])
@pytest.mark.parametrize("cap", [0, 1, 33, 99])
def test_no_token_more_than_the_cap_goes_by(cap: int, at_once: int) -> None:
    meter = collector(cap)
    out = b""
    for at in range(0, 100, at_once):
        if meter.is_over:
            break
        out += meter.feed(b"".join(STREAM[at : at + at_once]))
    passed = b"".join(STREAM[:cap])
    assert out.startswith(passed)
    end = datas(out[len(passed) :])
    assert [choice["finish_reason"] for choice in end[0]["choices"]] == ["length"]
    assert end[1:] == ["[DONE]"]
    transcript = meter.finish(want_body=False)
    assert (meter.is_cut, transcript.is_complete, words(transcript.completion_text or "")) == (True, True, cap)


@pytest.mark.parametrize("at_once", [1, 2, 7, 103])
def test_a_stream_that_keeps_to_its_cap_passes_untouched(at_once: int) -> None:
    meter = collector(100)
    blocks = [*STREAM, chunk("", "length"), DONE]
    out = b"".join(meter.feed(b"".join(blocks[at : at + at_once])) for at in range(0, len(blocks), at_once))
    assert out == b"".join(blocks)
    assert not meter.is_cut


def test_words_in_pieces_are_counted_as_one() -> None:
    """Each look counts a word that lies across its edge twice; before anything is cut that is put right."""
    meter = collector(10)
    blocks = [chunk(letter) for letter in "abcdefghij klmnopqrst uvw"]
    assert b"".join(map(meter.feed, blocks)) == b"".join(blocks)
    assert not meter.is_cut


def test_what_was_used_so_far_is_known_at_any_time() -> None:
    meter = collector(1000)
    for block in STREAM[:40]:
        meter.feed(block)
    assert meter.tokens() == 40
    assert meter.tokens() == 40


def test_usage_is_told_where_it_was_wanted() -> None:
    meter = collector(2, tells_usage=True)
    end = datas(meter.feed(b"".join(STREAM[:3])))[-2:]
    assert end[0]["usage"] == {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}
    assert end[0]["choices"] == []


def test_a_choice_that_is_over_is_not_ended_again() -> None:
    end = Chat().cut_short(
        [{"id": "c", "choices": [{"index": 1, "finish_reason": "stop"}]}],
        choices=3,
        usage=Usage(1, 1),
        tells_usage=False,
    )
    assert [choice["index"] for event in datas(end)[:-1] for choice in event["choices"]] == [0, 2]


WHOLE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "one two three four five ", "annotations": []}],
        },
        {"id": "fc_1", "type": "function_call", "status": "completed", "name": "f", "arguments": "six seven eight"},
    ],
    "usage": {"input_tokens": 8, "output_tokens": 8},
}


@pytest.mark.parametrize(("cap", "texts"), [(3, ["one two three"]), (7, ["one two three four five", "six seven"])])
def test_a_response_is_incomplete_with_all_that_had_come(cap: int, texts: list[str]) -> None:
    meter = collector(cap, Responses())
    out = b"".join(meter.feed(block) for block in encode_stream(WHOLE) if not meter.is_over)
    told = datas(out)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    last = told[-1]
    assert last["type"] == "response.incomplete"
    response = last["response"]
    assert (response["id"], response["status"]) == ("resp_1", "incomplete")
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["usage"] == {"input_tokens": 8, "output_tokens": cap, "total_tokens": 8 + cap}
    said = [item.get("arguments") or item["content"][0]["text"] for item in response["output"]]
    assert [text.strip() for text in said] == texts
    assert response["output"][-1]["status"] == "incomplete"
    done = [event["item"]["id"] for event in told if event["type"] == "response.output_item.done"]
    assert done == [item["id"] for item in response["output"]]
