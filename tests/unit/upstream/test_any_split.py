"""However an upstream's stream is cut into reads and whichever dialect it speaks, the same events leave and count."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.collect import Collector
from gateway.values import Transcript
from gateway.wire import sse
from gateway.wire.endpoint import Endpoint
from gateway.wire.endpoints import ENDPOINTS
from tests.support.answers import WHOLE

LINE_ENDS = (b"\n", b"\r\n", b"\r")
STREAMING = [endpoint for endpoint in ENDPOINTS if endpoint.name != "embeddings"]
FILLERS = [b"", b": ping\n\n", b":\n: two lines\n\n", b"id: 7\nretry: 10\n\n"]

dialects = st.fixed_dictionaries(
    {
        "line_end": st.sampled_from(LINE_ENDS),
        "filler": st.sampled_from(FILLERS),
        "is_in_lines": st.booleans(),
        "has_space": st.booleans(),
        "is_closed": st.booleans(),
    }
)


def stream_of(endpoint: Endpoint, *, line_end: bytes, filler: bytes, is_in_lines: bool, **how: bool) -> bytes:
    """A whole stream of `endpoint` in one dialect; of data `is_in_lines` every JSON value has its own."""
    events = []
    for event in sse.events(b"".join(endpoint.to_stream(WHOLE[endpoint.name], include_usage=True))):
        name = event.raw.partition(b"data:")[0]
        data = event.data
        if is_in_lines and data != b"[DONE]":
            data = json.dumps(json.loads(data), indent=0).encode()
        lines = [b"data:" + b" " * how["has_space"] + line for line in data.split(b"\n")]
        events.append(name + b"\n".join(lines) + b"\n\n")
    text = filler.join(events)
    return (text if how["is_closed"] else text[:-2]).replace(b"\n", line_end)


def relayed(endpoint: Endpoint, reads: list[bytes], *, hide_usage: bool) -> tuple[bytes, Transcript]:
    """What leaves for the client, and what the stream amounted to."""
    splitter = sse.EventSplitter(max_bytes=1 << 20)
    collector = Collector(endpoint, hide_usage=hide_usage)
    blocks = [*(splitter.feed(read) for read in reads), splitter.rest()]
    sent = b"".join(collector.feed(block) for block in blocks if block)
    return sent, collector.finish(want_body=True)


def cut(stream: bytes, at: list[float]) -> list[bytes]:
    """`stream` in reads that end at these shares of it."""
    places = sorted({0, len(stream), *(int(share * len(stream)) for share in at)})
    return [stream[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize("endpoint", STREAMING, ids=lambda endpoint: endpoint.name)
@given(dialects, st.lists(st.floats(0, 1), max_size=12))
def test_any_split_gives_the_same_events(endpoint: Endpoint, dialect: Any, at: list[float]) -> None:
    stream = stream_of(endpoint, **dialect)
    sent, transcript = relayed(endpoint, cut(stream, at), hide_usage=False)
    assert sent == stream
    assert transcript.is_complete
    assert transcript.usage is not None
    assert transcript == relayed(endpoint, [stream], hide_usage=False)[1]
    assert json.loads(transcript.body or b"") == WHOLE[endpoint.name]


@pytest.mark.parametrize("endpoint", STREAMING, ids=lambda endpoint: endpoint.name)
@given(dialects, st.lists(st.floats(0, 1), max_size=12))
def test_any_split_hides_the_same_usage(endpoint: Endpoint, dialect: Any, at: list[float]) -> None:
    stream = stream_of(endpoint, **dialect)
    sent, transcript = relayed(endpoint, cut(stream, at), hide_usage=True)
    assert transcript.usage is not None
    assert sent == relayed(endpoint, [stream], hide_usage=True)[0]
    hidden = 0 if endpoint.name == "responses" else 1
    assert len(data_of(sent)) == len(data_of(stream)) - hidden


def data_of(stream: bytes) -> list[bytes]:
    return [event.data for event in sse.events(stream) if event.data]


@pytest.mark.parametrize("endpoint", STREAMING, ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("line_end", LINE_ENDS, ids=repr)
def test_byte_by_byte_is_a_split_too(endpoint: Endpoint, line_end: bytes) -> None:
    how = {"is_in_lines": False, "has_space": True, "is_closed": True}
    stream = stream_of(endpoint, line_end=line_end, filler=b"", **how)
    sent, transcript = relayed(endpoint, [bytes([byte]) for byte in stream], hide_usage=False)
    assert sent == stream
    assert json.loads(transcript.body or b"") == WHOLE[endpoint.name]
