"""What is asked for after a cut, and how the events of a continuation are made to fit."""

import json
from typing import Any

import pytest

from gateway.values import Request, Usage
from gateway.wire.chat import Chat
from gateway.wire.continuing import Remainder, Seam, remainder, shortened
from gateway.wire.sse import DONE, encode, events

FRAME = {"id": "c1", "created": 5, "model": "m", "system_fingerprint": "fp"}
HELLO = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "model": "m"}


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {**FRAME, "choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more}


ROLE = chunk({"role": "assistant", "content": ""})
HEL = chunk({"content": "Hel"})


def request(body: bytes | None = None, **fields: Any) -> Request:
    body = body or json.dumps({**HELLO, **fields}).encode()
    return Chat().parse(body, json.loads(body))


def rest(asked: Request, *events: dict[str, Any], may_continue: bool = True) -> Remainder | None:
    return remainder(asked, events, may_continue=may_continue)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","stream":true,"messages" : [ {"role":"user","content":"hi ]"} ] , "seed": 1.50}',
        b'{"messages":[{"role":"user","content":"\\ud83d"}],"model":"m","stream":true}',
    ],
)
def test_what_was_said_joins_the_messages_and_no_other_byte_changes(body: bytes) -> None:
    found = rest(request(body), ROLE, HEL, chunk({"content": 'lo "\n'}))
    assert found is not None
    assert found.said == 'Hello "\n'
    at = body.rindex(b"]")
    said = b',{"role":"assistant","content":"Hello \\"\\n"}'
    assert found.request.body == body[:at] + said + body[at:]
    assert json.loads(found.request.body) == found.request.fields
    assert (found.frame, found.roles) == (FRAME, frozenset({0}))


def test_while_nothing_was_said_the_same_is_asked_for_again_whatever_it_is() -> None:
    asked = request(n=2, tools=[{"type": "function"}], logprobs=True)
    for may_continue in (True, False):
        found = rest(asked, ROLE, may_continue=may_continue)
        assert found is not None
        assert (found.request, found.said) == (asked, "")
    assert rest(asked, ROLE, HEL) is None
    assert rest(request(), ROLE, HEL, may_continue=False) is None


@pytest.mark.parametrize(
    "odd",
    [
        chunk({"content": "x"}, index=1),
        chunk({"tool_calls": [{"index": 0}]}),
        chunk({"reasoning": "Hm"}),
        chunk({}, "stop"),
    ],
)
def test_what_holds_more_than_text_or_has_ended_is_not_continued(odd: dict[str, Any]) -> None:
    assert rest(request(), ROLE, HEL, odd) is None


def test_a_very_large_request_is_not_continued() -> None:
    assert rest(request(user="x" * (1 << 20)), ROLE, HEL) is None


def test_limits_are_shortened_by_what_was_said_in_each_spelling() -> None:
    asked = request(max_tokens=30, max_completion_tokens=20)
    shorter = shortened(asked, 12)
    assert shorter is not None
    assert (shorter.completion_cap, shorter.edits) == (18, {"max_tokens": 18, "max_completion_tokens": 8})
    assert shortened(asked, 30) is None
    assert shortened(request(), 30) == request()


def joined(*chunks: dict[str, Any], said: str = "Hello", roles: frozenset[int] = frozenset({0})) -> bytes:
    seam = Seam(Remainder(request(), said, FRAME, roles), "b/large", Usage(8, 2))
    blocks = [encode(json.dumps(one).encode()) for one in chunks]
    return b"".join(seam.feed(block) for block in [*blocks, DONE])


def data_of(sent: bytes) -> list[Any]:
    return [json.loads(event.data) for event in events(sent) if event.data.startswith(b"{")]


def test_a_continuation_has_the_frame_of_what_was_cut_and_says_what_it_is() -> None:
    other = {"id": "c2", "created": 9, "model": "large", "system_fingerprint": "other", "service_tier": "flex"}
    sent = joined({**ROLE, **other}, {**HEL, **other}, {**chunk({}, "stop"), **other})
    assert sent.startswith(b": gateway: the stream was cut here and continued by b/large\n\n")
    assert sent.endswith(DONE)
    content, end = data_of(sent)
    assert content == {**HEL, "service_tier": "flex", "x_gateway": {"continued": "b/large"}}
    assert end == {**chunk({}, "stop"), "service_tier": "flex"}


def test_a_role_is_told_once_for_each_choice() -> None:
    first = chunk({"role": "assistant", "content": "a"})
    other = chunk({"role": "assistant", "content": "b"}, index=1)
    deltas = [one["choices"][0]["delta"] for one in data_of(joined(first, other, said=""))]
    assert deltas == [{"content": "a"}, {"role": "assistant", "content": "b"}]
    assert b"restarted by b/large" in joined(first, said="")


def test_usage_is_that_of_both_calls_and_the_rest_of_its_report_stays() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "prompt_tokens_details": {"x": 1}}
    [sent] = data_of(joined({**FRAME, "choices": [], "usage": usage}))
    both = {"prompt_tokens": 18, "completion_tokens": 5, "total_tokens": 23, "prompt_tokens_details": {"x": 1}}
    assert sent["usage"] == both


def test_what_is_no_chunk_passes_as_it_is() -> None:
    seam = Seam(Remainder(request(), "", {}, frozenset()), "b/large", Usage(0, 0))
    block = b': ping\n\ndata: {"error":{"message":"no"}}\n\ndata: odd\n\n'
    assert seam.feed(block).endswith(block)
