import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import sse
from gateway.wire.sse import EventSplitter, EventTooLarge, events

STREAM = (
    b'data: {"a":1}\n\n: a comment\n\nevent: x\ndata: one\ndata: two\n\n'
    b'data: {"b":2}\r\n\r\ndata:no space\n\ndata: \xf0\x9f\x8c\x8d\n\ndata: [DONE]\n\n'
)
DATA = [b'{"a":1}', b"", b"one\ntwo", b'{"b":2}', b"no space", b"\xf0\x9f\x8c\x8d", b"[DONE]"]


def fed(*reads: bytes) -> bytes:
    splitter = EventSplitter(1 << 20)
    return b"".join(splitter.feed(read) for read in reads) + splitter.rest()


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_nothing_is_lost_wherever_a_read_ends(cut: int) -> None:
    assert fed(STREAM[:cut], STREAM[cut:]) == STREAM


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_every_block_ends_where_an_event_ends(cut: int) -> None:
    splitter = EventSplitter(1 << 20)
    blocks = [splitter.feed(STREAM[:cut]), splitter.feed(STREAM[cut:])]
    assert splitter.rest() == b""
    assert [event.data for block in blocks for event in events(block) if event.raw.strip()] == DATA


def test_single_bytes_give_the_same_events() -> None:
    splitter = EventSplitter(1 << 20)
    blocks = [splitter.feed(STREAM[at : at + 1]) for at in range(len(STREAM))]
    assert [event.data for block in blocks for event in events(block) if event.raw.strip()] == DATA


def test_raw_events_joined_are_the_block() -> None:
    assert b"".join(event.raw for event in events(STREAM)) == STREAM


def test_a_last_event_without_its_empty_line_is_given_at_the_end() -> None:
    splitter = EventSplitter(1 << 20)
    assert splitter.feed(b"data: a\n\ndata: b\n") == b"data: a\n\n"
    assert splitter.rest() == b"data: b\n"


def test_an_endless_event_is_refused() -> None:
    splitter = EventSplitter(100)
    with pytest.raises(EventTooLarge, match="longer than 100 bytes"):
        splitter.feed(b"data: " + b"x" * 200)


def test_cr_alone_ends_lines_too() -> None:
    assert [event.data for event in events(b"data: a\r\rdata: b\r\r")] == [b"a", b"b"]


@given(st.lists(st.sampled_from([b"data: ", b"data:", b"a", b"\n", b"\n\n", b"\r\n", b": ping", b"{}"]), max_size=12))
def test_plain_events_have_the_data_that_reading_each_finds(pieces: list[bytes]) -> None:
    block = b"".join(pieces)
    plain = sse.plain_data(block)
    if plain is not None:
        assert plain == [event.data for event in sse.events(block)]


def test_what_servers_write_is_plain() -> None:
    assert sse.plain_data(b"data: {}\n\ndata: [DONE]\n\n") == [b"{}", b"[DONE]"]


@pytest.mark.parametrize(
    "block", [b"", b"data: a\n", b"data: a\ndata: b\n\n", b": x\n\n", b"data: a\r\n\r\n", b"data:a\n\n"]
)
def test_other_forms_are_not(block: bytes) -> None:
    assert sse.plain_data(block) is None
