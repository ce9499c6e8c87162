"""How fast a stream came, kept coarsely, and in what time it is replayed."""

from gateway.steps.pacing import due_ms
from gateway.upstream.paced import LONGEST_MS, STEPS, Notes, bounded


def pace(*blocks: tuple[float, int]) -> tuple[int, ...] | None:
    """Of blocks that came at so many seconds, so many bytes long."""
    now = 0.0
    notes = Notes(lambda: now)
    for at, size in blocks:
        now = at
        notes.take(b"x" * size)
    return notes.pace()


def test_an_even_stream_is_kept_evenly() -> None:
    found = pace(*((number * 0.1, 10) for number in range(33)))
    assert found is not None
    assert found == tuple(sorted(found))
    assert (found[0], found[15], found[-1]) == (100, 1600, 3200)


def test_what_came_at_once_has_no_pace() -> None:
    assert pace() is None
    assert pace((5.0, 100)) is None
    assert pace((5.0, 100), (5.0, 100)) is None


def test_long_pauses_are_shortened_and_the_whole_is_bounded() -> None:
    assert pace((0.0, 50), (60.0, 50)) == (0,) * 16 + (2000,) * 16
    endless = pace(*((number * 10.0, 10) for number in range(STEPS)))
    assert endless is not None
    assert endless[-1] == LONGEST_MS


def test_a_clock_that_goes_back_makes_no_negative_pause() -> None:
    assert bounded([10, 5, 20]) == (10, 10, 25)


def test_notes_of_a_long_stream_are_bounded_and_still_right() -> None:
    now = 0.0
    notes = Notes(lambda: now)
    for number in range(100_000):
        now = number * 0.0001
        notes.take(b"x")
    found = notes.pace()
    assert found is not None
    assert len(notes._notes) < 1024
    assert abs(found[15] - 5000) < 50
    assert abs(found[-1] - 10_000) < 50


def test_events_are_spread_over_the_parts_they_fall_into() -> None:
    assert [due_ms((100, 300), number, 4) for number in range(4)] == [0, 50, 100, 200]
    assert [due_ms((100, 300), number, 1) for number in range(1)] == [0]
