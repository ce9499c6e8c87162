"""When a route's semantic level serves, and when it stops to."""

import pytest

from gateway.cache.tally import LATEST, Tally, wilson


def test_it_opens_after_enough_comparisons_with_few_enough_wrong() -> None:
    tally = Tally(least=3, most_wrong=0.34)
    assert [tally.add(is_wrong=wrong) for wrong in (False, True, False)] == [False, False, True]
    assert tally.state == "open"
    assert (tally.wrong, tally.checks) == (1, 3)


def test_it_closes_on_trial_when_too_many_were_wrong() -> None:
    tally = Tally(least=2, most_wrong=0.1)
    assert [tally.add(is_wrong=True), tally.add(is_wrong=False)] == [False, True]
    assert tally.state == "closed"


def test_it_closes_when_the_share_passes_the_limit_and_stays_closed() -> None:
    tally = Tally(least=2, most_wrong=0.2)
    assert [tally.add(is_wrong=False) for _ in range(2)] == [False, True]
    assert not tally.add(is_wrong=False)
    assert tally.add(is_wrong=True)
    assert tally.state == "closed"
    assert not any(tally.add(is_wrong=False) for _ in range(50))
    assert tally.state == "closed"


def test_reopened_it_is_on_trial_again() -> None:
    tally = Tally(least=1, most_wrong=0)
    tally.add(is_wrong=True)
    tally.reopen()
    assert (tally.state, tally.checks, tally.wrong) == ("trial", 0, 0)
    assert tally.add(is_wrong=False)
    assert tally.state == "open"


def test_only_the_latest_comparisons_count() -> None:
    tally = Tally(least=1, most_wrong=0.9)
    tally.add(is_wrong=False)
    tally.add(is_wrong=True)
    for _ in range(LATEST):
        tally.add(is_wrong=False)
    assert (tally.checks, tally.wrong) == (LATEST, 0)


@pytest.mark.parametrize(
    ("wrong", "checks", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 50, 0.0, 0.0713), (1, 50, 0.0035, 0.1050), (10, 100, 0.0552, 0.1744), (5, 5, 0.5655, 1.0)],
)
def test_the_interval_is_wilsons(wrong: int, checks: int, low: float, high: float) -> None:
    assert wilson(wrong, checks) == pytest.approx((low, high), abs=1e-4)
