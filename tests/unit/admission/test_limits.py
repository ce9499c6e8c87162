"""The arithmetic of rates and periods."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.limits import (
    TICKS,
    Bucket,
    Per,
    counter_name,
    has_room,
    level_at,
    resets_at,
    standing_of,
    wait_s,
)
from gateway.values import Standing

NOW_MS = 1_800_000_000_000
"""2027-01-15T08:00:00Z."""


def test_a_bucket_drains_what_its_limit_allows_a_minute() -> None:
    bucket = Bucket(level=100 * TICKS, at_ms=NOW_MS)
    assert level_at(bucket, NOW_MS + 600, per_minute=100) == 99 * TICKS
    assert level_at(bucket, NOW_MS + 60_000, per_minute=100) == 0
    assert level_at(bucket, NOW_MS + 90_000, per_minute=100) == 0


def test_a_clock_that_was_set_back_drains_nothing() -> None:
    assert level_at(Bucket(500, NOW_MS), NOW_MS - 3_600_000, per_minute=7) == 500


def test_a_full_bucket_has_room_for_nothing_but_nothing() -> None:
    assert has_room(99 * TICKS, 1, per_minute=100)
    assert not has_room(99 * TICKS + 1, 1, per_minute=100)
    assert has_room(250 * TICKS, 0, per_minute=100)


@given(
    per_minute=st.integers(1, 1_000_000_000),
    amount=st.integers(1, 1_000_000_000),
    level=st.integers(0, 10**15),
)
def test_what_was_refused_passes_after_its_wait_and_not_a_millisecond_before(
    per_minute: int, amount: int, level: int
) -> None:
    wait = wait_s(level, amount, per_minute=per_minute)
    if wait is None:
        assert amount > per_minute
        return
    later_ms = NOW_MS + round(wait * 1000)
    bucket = Bucket(level, NOW_MS)
    assert has_room(level_at(bucket, later_ms, per_minute=per_minute), amount, per_minute=per_minute)
    if wait:
        assert not has_room(level_at(bucket, later_ms - 1, per_minute=per_minute), amount, per_minute=per_minute)


def test_a_client_is_told_what_is_left_and_when_it_is_whole_again() -> None:
    assert standing_of(0, per_minute=100) == Standing(100, 100, 0.0)
    assert standing_of(TICKS, per_minute=100) == Standing(100, 99, 0.6)
    assert standing_of(100 * TICKS - 1, per_minute=100) == Standing(100, 0, 60.0)
    assert standing_of(150 * TICKS, per_minute=100) == Standing(100, 0, 90.0)


@pytest.mark.parametrize(
    ("per", "name", "end"),
    [
        ("hour", "a:hour:2027-01-15T08", datetime(2027, 1, 15, 9, tzinfo=UTC)),
        ("day", "a:day:2027-01-15", datetime(2027, 1, 16, tzinfo=UTC)),
        ("month", "a:month:2027-01", datetime(2027, 2, 1, tzinfo=UTC)),
        ("total", "a:total:total", None),
    ],
)
def test_periods_are_of_the_utc_calendar(per: Per, name: str, end: datetime | None) -> None:
    assert counter_name(f"a:{per}", per, NOW_MS) == name
    assert resets_at(per, NOW_MS) == end


@given(st.integers(0, 32_000_000_000_000))
def test_a_period_lasts_until_it_resets(at_ms: int) -> None:
    for per in ("hour", "day", "month"):
        end = resets_at(per, at_ms)
        assert end is not None
        end_ms = round(end.timestamp() * 1000)
        assert counter_name("a", per, at_ms) == counter_name("a", per, end_ms - 1)
        assert counter_name("a", per, at_ms) != counter_name("a", per, end_ms)
