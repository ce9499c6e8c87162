import json

import orjson
import pytest

from gateway.upstream.collect import Collector, read_answer
from gateway.values import Usage
from gateway.wire.chat import Chat
from gateway.wire.sse import encode

CHAT = Chat()


def chunk(delta: dict[str, str], finish: str | None = None, usage: object = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return encode(orjson.dumps({"id": "c1", "created": 1, "model": "m", "choices": [choice], "usage": usage}))


FIRST = chunk({"role": "assistant", "content": "Hel"})
SECOND = chunk({"content": "lo"})
LAST = chunk({}, "stop")
USAGE = encode(
    orjson.dumps(
        {"id": "c1", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    )
)
DONE = b"data: [DONE]\n\n"


def test_usage_that_was_not_asked_for_is_read_and_kept_back() -> None:
    collector = Collector(CHAT, hide_usage=True)
    blocks = [FIRST, SECOND + LAST, USAGE + DONE]
    assert b"".join(collector.feed(block) for block in blocks) == FIRST + SECOND + LAST + DONE
    transcript = collector.finish(want_body=True)
    assert transcript.is_complete
    assert transcript.usage == Usage(9, 2)
    assert transcript.body is not None
    answer = orjson.loads(transcript.body)
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert answer["usage"]["prompt_tokens"] == 9


def test_usage_that_was_asked_for_passes() -> None:
    collector = Collector(CHAT, hide_usage=False)
    assert collector.feed(LAST + USAGE + DONE) == LAST + USAGE + DONE


def test_what_was_said_is_kept_where_usage_is_missing() -> None:
    collector = Collector(CHAT, hide_usage=True)
    for block in (FIRST, SECOND):
        collector.feed(block)
    transcript = collector.finish(want_body=False)
    assert not transcript.is_complete
    assert transcript.completion_text == "Hello"


def test_an_error_event_passes_and_spoils_the_answer() -> None:
    collector = Collector(CHAT, hide_usage=True)
    error = encode(b'{"error":{"message":"overloaded"}}')
    assert collector.feed(FIRST + error) == FIRST + error
    assert collector.has_error
    collector.feed(LAST + DONE)
    assert not collector.finish(want_body=True).is_complete


def delta(content: str) -> bytes:
    return encode(json.dumps({"choices": [{"index": 0, "delta": {"content": content}}]}).encode())


def test_an_answer_with_an_event_that_cannot_be_read_is_not_stored() -> None:
    collector = Collector(CHAT, hide_usage=True)
    for block in (FIRST, encode(b'{"choices":'), LAST, USAGE + DONE):
        collector.feed(block)
    transcript = collector.finish(want_body=True)
    assert transcript.is_complete
    assert transcript.body is None


def test_a_character_cut_in_two_by_its_events_is_whole_in_the_stored_answer() -> None:
    collector = Collector(CHAT, hide_usage=True)
    for block in (FIRST, delta("\ud83d"), delta("\ude00"), LAST, USAGE + DONE):
        collector.feed(block)
    body = collector.finish(want_body=True).body
    assert body is not None
    assert json.loads(body)["choices"][0]["message"]["content"].endswith("\N{GRINNING FACE}")


@pytest.mark.parametrize(("blocks", "is_complete"), [([FIRST, LAST], True), ([FIRST], False), ([], False)])
def test_without_done_a_stream_is_complete_if_it_finished(blocks: list[bytes], is_complete: bool) -> None:
    collector = Collector(CHAT, hide_usage=True)
    for block in blocks:
        collector.feed(block)
    assert collector.finish(want_body=True).is_complete is is_complete


@pytest.mark.parametrize(
    ("body", "is_complete"),
    [
        (b'{"choices":[{"finish_reason":"stop","message":{}}]}', True),
        (b'{"choices":[{"finish_reason":"stop"},{"finish_reason":null}]}', False),
        (b'{"choices":[]}', False),
        (b'{"choices":[{"finish_reason":"stop"}],"error":{"message":"x"}}', False),
        (b"[]", False),
        (b"<html>", False),
    ],
)
def test_a_whole_answer_is_complete_only_with_its_end(body: bytes, is_complete: bool) -> None:
    assert read_answer(CHAT, body).is_complete is is_complete
