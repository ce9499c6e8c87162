"""Intervals, against published examples and against what they promise: to miss as often as they say."""

import math
import random

import pytest

from gateway.accounting.confidence import Z95, Interval, Sample, Share, change_of_mean, share_difference


def rounded(interval: Interval, digits: int = 4) -> tuple[float, float]:
    return round(interval.low, digits), round(interval.high, digits)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (Share(81, 263), (0.2553, 0.3662)),  # Newcombe, 1998: two-sided intervals for the single proportion, table I
        (Share(15, 148), (0.0624, 0.1605)),
        (Share(0, 20), (0.0, 0.1611)),
        (Share(1, 29), (0.0061, 0.1718)),
        (Share(20, 20), (0.8389, 1.0)),
        (Share(0, 0), (0.0, 1.0)),
    ],
)
def test_a_share_has_wilsons_interval(share: Share, expected: tuple[float, float]) -> None:
    assert rounded(share.interval()) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Share(56, 70), Share(48, 80), (0.0524, 0.3339)),  # Newcombe, 1998: interval estimation for the difference, II
        (Share(9, 10), Share(3, 10), (0.1705, 0.8090)),
        (Share(10, 10), Share(0, 10), (0.6075, 1.0)),
        (Share(0, 10), Share(0, 20), (-0.1611, 0.2775)),
    ],
)
def test_two_shares_differ_within_newcombes_interval(one: Share, other: Share, expected: tuple[float, float]) -> None:
    assert rounded(share_difference(other, one, Z95)) == expected


def sample(numbers: list[float]) -> Sample:
    return Sample(len(numbers), math.fsum(numbers), math.fsum(number * number for number in numbers))


def test_a_sample_knows_its_mean_and_its_error() -> None:
    found = sample([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert found.mean == 5.0
    assert found.variance == pytest.approx(32 / 7)
    assert found.error == pytest.approx(math.sqrt(32 / 7 / 8))
    assert sample([3.0]).variance == 0.0


def test_large_equal_numbers_have_no_variance() -> None:
    assert sample([123_456_789.0] * 1_000_000).error < 1


def test_a_change_is_as_far_upwards_as_downwards() -> None:
    small, large = sample([1.0, 1.2, 0.8] * 50), sample([2.0, 2.4, 1.6] * 50)
    up, down = change_of_mean(small, large), change_of_mean(large, small)
    assert (1 + up.low) * (1 + down.high) == pytest.approx(1)
    assert up.low < 1 < up.high


def test_means_of_long_tailed_numbers_are_missed_as_often_as_promised() -> None:
    """Log-normal with a spread like that of what answers cost; two versions that are the same, 200 answers each."""
    rng = random.Random(1)
    rounds, missed = 600, 0
    for _ in range(rounds):
        one, other = (sample([math.exp(rng.gauss(0, 1)) for _ in range(200)]) for _ in range(2))
        found = change_of_mean(one, other, Z95)
        missed += not found.low <= 0 <= found.high
    assert 0.02 < missed / rounds < 0.08


def test_shares_are_missed_as_often_as_promised() -> None:
    rng = random.Random(2)
    rounds, missed = 600, 0
    for _ in range(rounds):
        one, other = (Share(sum(rng.random() < 0.05 for _ in range(150)), 150) for _ in range(2))
        found = share_difference(one, other, Z95)
        missed += not found.low <= 0 <= found.high
    assert missed / rounds < 0.08
