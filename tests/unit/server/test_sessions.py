"""Sessions of the status page, and the brake on guesses."""

import pytest

from gateway.server.sessions import MAX_FAILURES, MAX_SESSIONS, SIGNED_IN_S, Failures, Sessions

KEY = "operators-admin-key"


def test_a_session_lasts_twelve_hours() -> None:
    sessions = Sessions(KEY)
    session = sessions.begin(1_000.0)
    assert sessions.holds(session, 1_000.0 + SIGNED_IN_S - 1)
    assert not sessions.holds(session, 1_000.0 + SIGNED_IN_S)


def test_a_session_ends_when_told_and_no_other_with_it() -> None:
    sessions = Sessions(KEY)
    mine, other = sessions.begin(0.0), sessions.begin(0.0)
    assert mine != other
    sessions.end(mine)
    sessions.end("no such session")
    assert not sessions.holds(mine, 1.0)
    assert sessions.holds(other, 1.0)


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.00", "\u00fc", "\udcff", KEY])
def test_what_was_not_begun_here_is_none(cookie: str) -> None:
    sessions = Sessions(KEY)
    session = sessions.begin(0.0)
    assert not sessions.holds(cookie, 1.0)
    assert not sessions.holds(session + "x", 1.0)
    assert not Sessions(KEY).holds(session, 1.0)


def test_there_are_so_many_and_the_oldest_goes_first() -> None:
    sessions = Sessions(KEY)
    first, second = sessions.begin(0.0), sessions.begin(1.0)
    for _ in range(MAX_SESSIONS - 1):
        sessions.begin(2.0)
    assert not sessions.holds(first, 3.0)
    assert sessions.holds(second, 3.0)


def test_guesses_wait_until_the_oldest_is_a_minute_old() -> None:
    failures = Failures()
    for i in range(MAX_FAILURES):
        assert failures.wait_s(float(i)) == 0
        failures.add(float(i))
    assert failures.wait_s(20.0) == 40
    assert failures.wait_s(60.0) == 0
    failures.add(60.0)
    assert failures.wait_s(60.5) == 0.5
