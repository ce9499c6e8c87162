"""What is kept back of a stream's beginning, and from which event on it is not."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamInvalid
from gateway.upstream.hold import MOST_BYTES, MOST_EVENTS, Hold
from gateway.wire.chat import Chat
from gateway.wire.completions import Completions
from gateway.wire.endpoint import Endpoint
from gateway.wire.responses import Responses
from gateway.wire.sse import EventSplitter

CHAT, COMPLETIONS, RESPONSES = Chat(), Completions(), Responses()
OVERLOADED = {"error": {"message": "overloaded"}}


def event(value: dict[str, Any] | bytes) -> bytes:
    return b"data: %b\n\n" % (value if isinstance(value, bytes) else json.dumps(value).encode())


def shown(value: Endpoint | dict[str, Any] | bytes) -> str:
    return value.name if isinstance(value, Endpoint) else str(value)


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish}]}


def text(value: str, finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "text": value, "logprobs": None, "finish_reason": finish}]}


def added(**item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": 0, "item": item}


def part(**fields: Any) -> dict[str, Any]:
    return {"type": "response.content_part.added", "part": fields}


ROLE = delta(role="assistant", content="")
CALL = {"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}
ANNOUNCE: list[tuple[Endpoint, dict[str, Any]]] = [
    (CHAT, ROLE),
    (CHAT, delta(role="assistant", content=None, refusal=None, tool_calls=[])),
    (CHAT, {"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
    (CHAT, {**ROLE, "usage": {"prompt_tokens": 8, "completion_tokens": 0}}),
    (COMPLETIONS, text("")),
    (RESPONSES, {"type": "response.created", "response": {"id": "r", "output": [], "error": None}}),
    (RESPONSES, {"type": "response.in_progress", "response": {"id": "r", "output": []}}),
    (RESPONSES, added(type="message", role="assistant", content=[])),
    (RESPONSES, added(type="reasoning", summary=[])),
    (RESPONSES, part(type="output_text", text="", annotations=[])),
]
ANSWER: list[tuple[Endpoint, dict[str, Any] | bytes]] = [
    (CHAT, delta(content="Hel")),
    (CHAT, delta(role="assistant", content="Hel")),
    (CHAT, delta(role="assistant", tool_calls=[CALL])),
    (CHAT, delta(reasoning_content="Hm")),
    (CHAT, delta("stop")),
    (CHAT, delta("content_filter", role="assistant", content="")),
    (CHAT, {"id": "c", "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 0}}),
    (CHAT, {"id": "c", "object": "of some other kind"}),
    (CHAT, {"choices": ["odd"]}),
    (CHAT, {"choices": [{"delta": "odd"}]}),
    (CHAT, b"[DONE]"),
    (CHAT, b"no JSON"),
    (COMPLETIONS, text("Hel")),
    (COMPLETIONS, text("", "length")),
    (RESPONSES, {"type": "response.output_text.delta", "delta": "Hel"}),
    (RESPONSES, added(type="function_call", name="f", arguments="")),
    (RESPONSES, added(type="message", content=[{"type": "output_text", "text": "Hel"}])),
    (RESPONSES, part(type="output_text", text="Hel")),
    (RESPONSES, {"type": "response.completed", "response": {"id": "r"}}),
    (RESPONSES, {"type": 5}),
]


@pytest.mark.parametrize(("endpoint", "announcing"), ANNOUNCE, ids=shown)
def test_what_announces_an_answer_is_kept_back(endpoint: Endpoint, announcing: dict[str, Any]) -> None:
    hold = Hold(endpoint)
    hold.feed(b": comments do not count\n\n")
    assert (hold.events, hold.is_over) == (0, False)
    hold.feed(event(announcing))
    assert (hold.events, hold.is_over) == (1, False)
    with pytest.raises(UpstreamInvalid, match="overloaded"):
        hold.feed(event(OVERLOADED))


@pytest.mark.parametrize(("endpoint", "real"), ANSWER, ids=shown)
def test_what_is_of_the_answer_ends_it(endpoint: Endpoint, real: dict[str, Any] | bytes) -> None:
    hold = Hold(endpoint)
    hold.feed(event(real) + event(OVERLOADED))  # what comes later is the stream's own affair
    assert hold.is_over
    assert hold.release() == event(real) + event(OVERLOADED)
    assert hold.release() == b""


def test_it_keeps_back_so_many_events_and_no_more() -> None:
    hold = Hold(CHAT)
    for _ in range(MOST_EVENTS):
        assert not hold.is_over
        hold.feed(event(ROLE))
    hold.feed(event(ROLE))
    assert hold.is_over


def test_it_keeps_back_so_many_bytes_and_no_more() -> None:
    hold = Hold(CHAT)
    while not hold.is_over:
        hold.feed(b": hold on\n\n" * 100)
    assert (hold.events, len(hold.block) - MOST_BYTES < 1100) == (0, True)
    large = Hold(CHAT)
    large.feed(event({**ROLE, "padding": "x" * MOST_BYTES}))
    assert large.is_over


@given(
    pieces=st.lists(
        st.sampled_from([event(ROLE), event(delta(content="Hel")), b": ping\n\n", event(b"[DONE]"), event(b"odd")]),
        max_size=24,
    ),
    cuts=st.lists(st.integers(0, 4000), max_size=12),
)
def test_held_or_not_the_bytes_are_the_same(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    splitter, hold, passed = EventSplitter(1 << 20), Hold(CHAT), b""
    for start, end in pairwise(places):
        block = splitter.feed(stream[start:end])
        if hold.is_over:
            passed += hold.release() + block
        elif block:
            hold.feed(block)
    assert passed + hold.release() + splitter.rest() == stream


def test_an_error_that_was_billed_is_passed_on() -> None:
    failed = {"type": "response.failed", "response": {"error": {"message": "no"}, "usage": {"input_tokens": 9}}}
    hold = Hold(RESPONSES)
    hold.feed(event(failed))
    assert hold.is_over
    free = {"type": "response.failed", "response": {"error": {"message": "no"}, "usage": None}}
    with pytest.raises(UpstreamInvalid, match="no"):
        Hold(RESPONSES).feed(event(free))
