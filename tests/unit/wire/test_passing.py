"""What is heard of a body that passes by, wherever it is cut and however long it is."""

import json

import pytest

from gateway.values import Usage
from gateway.wire.passing import Passing

USAGE = {"input_tokens": 8, "output_tokens": 2}


def passing(sent: bytes, received: bytes, size: int = 1000) -> Passing:
    here = Passing()
    for start in range(0, len(sent), size):
        here.sent(sent[start : start + size])
    for start in range(0, len(received), size):
        here.received(received[start : start + size])
    return here


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_usage_at_the_end_of_an_answer_is_heard_however_it_is_cut(size: int) -> None:
    body = json.dumps({"created": 1, "data": "x" * 3000, "usage": USAGE}).encode()
    here = passing(b'{"model": "m"}', body, size)
    assert (here.usage, here.model) == (Usage(8, 2), "m")


def test_megabytes_before_it_are_forgotten() -> None:
    here = passing(
        b"{}", b'{"model": "m", "data": "' + b"x" * 5_000_000 + b'", "usage": ' + json.dumps(USAGE).encode(), 65_536
    )
    assert (here.usage, here.model) == (Usage(8, 2), "m")
    assert len(here._tail) <= 5 * 65_536


def test_words_in_a_text_are_no_usage() -> None:
    said = json.dumps({"text": 'say "usage": {"input_tokens": 1, "output_tokens": 1}'}).encode()
    assert passing(b"{}", said).usage is None


def test_of_several_reports_the_last_that_can_be_read_counts() -> None:
    events = b'data: {"usage": null}\n\ndata: {"usage": {"input_tokens": 8, "output_tokens": 2}}\n\ndata: {"usage": {"x'
    assert passing(b"{}", events).usage == Usage(8, 2)


@pytest.mark.parametrize(
    ("sent", "model"),
    [
        (b'{"model": "m"}', "m"),
        (b'{"metadata": {"model": "cheap"}, "model": "m"}', "m"),
        (b'{"metadata": {"model": "cheap"}}', ""),
        (b'{"model": "m", "pad": "' + b"x" * 100_000 + b'"}', ""),  # what comes after is not known
        (b"not JSON", ""),
    ],
)
def test_the_model_that_was_asked_for_is_taken_where_there_is_no_doubt(sent: bytes, model: str) -> None:
    assert passing(sent, b"{}").model == model
