"""How long to wait before the same upstream is asked again."""

import pytest
from multidict import CIMultiDict

from gateway.upstream.backoff import pause_s, retry_after_s

NOW = 1_800_000_000.0
"""Fri, 15 Jan 2027 08:00:00 GMT."""


@pytest.mark.parametrize(("repeats", "shortest", "longest"), [(0, 0.1, 0.3), (1, 0.2, 0.6), (2, 0.4, 1.2)])
def test_the_pause_doubles_and_is_jittered_by_a_half(repeats: int, shortest: float, longest: float) -> None:
    assert pause_s(repeats, 0.2, asked_s=None, chance=0.0) == pytest.approx(shortest)
    assert pause_s(repeats, 0.2, asked_s=None, chance=1.0) == pytest.approx(longest)


def test_nobody_comes_back_before_the_upstream_has_asked_for_it() -> None:
    assert pause_s(0, 0.2, asked_s=3.0, chance=0.0) == 3.0
    assert pause_s(0, 0.2, asked_s=3.0, chance=0.5) == pytest.approx(3.1)
    assert pause_s(0, 0.2, asked_s=0.0, chance=0.0) == pytest.approx(0.1)


def test_many_doublings_do_not_overflow() -> None:
    assert pause_s(5000, 0.2, asked_s=None, chance=0.5) == pytest.approx(204.8)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"Retry-After": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": ""}, None),
    ],
)
def test_retry_after_is_read_as_seconds_milliseconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(CIMultiDict(headers), now=NOW) == seconds
