"""Whatever an upstream answers, reading it never fails, and what may be stored can be told as a stream."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamCut
from gateway.upstream.collect import Collector, read_answer
from gateway.wire import json_bytes, sse
from gateway.wire.endpoint import Endpoint
from gateway.wire.endpoints import ENDPOINTS
from tests.support.answers import WHOLE

odd_values: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 2**70, 0.5, "", "x", "\ud83d", "completed", "message", [], [None], ["x"], [[]], {}, {"x": None}]
)
changes = st.lists(st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=8), odd_values), max_size=4)


def changed(value: Any, path: list[int], odd: Any) -> None:
    """Put `odd` at the place that `path` leads to, in place."""
    step, *rest = path
    if not value:
        return
    key = list(value)[step % len(value)] if isinstance(value, dict) else step % len(value)
    if rest and isinstance(value[key], dict | list) and value[key]:
        changed(value[key], rest, odd)
    else:
        value[key] = odd


def odd_answer(whole: dict[str, Any], given_: list[tuple[list[int], Any]]) -> dict[str, Any]:
    answer = copy.deepcopy(whole)
    for path, odd in given_:
        changed(answer, path, copy.deepcopy(odd))
    return answer


def replay(endpoint: Endpoint, body: bytes) -> None:
    for include_usage in (True, False):
        b"".join(endpoint.to_stream(json_bytes.loads(body), include_usage=include_usage))


endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)


@endpoints
@given(changes)
def test_any_answer_can_be_read_and_replayed_if_complete(endpoint: Endpoint, given_: Any) -> None:
    transcript = read_answer(endpoint, json_bytes.dumps(odd_answer(WHOLE[endpoint.name], given_)))
    if transcript.is_complete and transcript.body is not None:
        replay(endpoint, transcript.body)


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.name != "embeddings"], ids=lambda one: one.name)
@given(st.lists(st.tuples(st.integers(0, 30), changes), max_size=3), st.booleans())
def test_any_stream_can_be_collected_and_replayed_if_complete(
    endpoint: Endpoint, given_: list[tuple[int, Any]], is_done: bool
) -> None:
    told = endpoint.to_stream(WHOLE[endpoint.name], include_usage=True)
    events = [event for event in sse.events(b"".join(told)) if event.data != b"[DONE]"]
    for number, more in given_:
        at = number % len(events)
        events[at] = sse.Event(b"", json_bytes.dumps(odd_answer(json_bytes.loads(events[at].data), more)))
    collector = Collector(endpoint, hide_usage=True)
    for event in events:
        collector.feed(sse.encode(event.data))
    if is_done:
        collector.feed(sse.DONE)
    transcript = collector.finish(want_body=True)
    if transcript.is_complete and transcript.body is not None:
        replay(endpoint, transcript.body)
    assert endpoint.error_event(UpstreamCut("gone"), after=collector.last)
