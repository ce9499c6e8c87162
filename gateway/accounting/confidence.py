"""How sure one can be of a share, a mean, and of the difference of two of them. Pure; counts and sums are enough.

Everything here takes its samples to be independent of one another. Requests of one user are not quite: an interval over
few users is narrower than it should be.
"""

import math
from typing import NamedTuple

from gateway.value import value

Z95 = 1.959964
"""Standard deviations to either side of 95% of a normal distribution."""
Z99 = 2.575829


class Interval(NamedTuple):
    low: float
    high: float


@value
class Share:
    """`some` of `all_`."""

    some: int
    all_: int

    @property
    def ratio(self) -> float:
        return self.some / self.all_ if self.all_ else math.nan

    def interval(self, z: float = Z95) -> Interval:
        """Wilson's score interval (1927), which holds for few and for shares near 0 or 1; all of [0, 1] for nothing."""
        if not self.all_:
            return Interval(0.0, 1.0)
        n, p = self.all_, self.ratio
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return Interval(max(0.0, middle - reach), min(1.0, middle + reach))


def share_difference(before: Share, after: Share, z: float = Z99) -> Interval:
    """Of `after.ratio - before.ratio`: Newcombe's hybrid of two Wilson intervals (1998, method 10)."""
    p, q = before.ratio, after.ratio
    (p_low, p_high), (q_low, q_high) = before.interval(z), after.interval(z)
    return Interval(
        q - p - math.sqrt((q - q_low) ** 2 + (p_high - p) ** 2),
        q - p + math.sqrt((q_high - q) ** 2 + (p - p_low) ** 2),
    )


@value
class Sample:
    """Numbers that are not negative, as far as their mean and its error go."""

    count: int
    total: float
    squares: float
    """Sum of the squares."""

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """Of one number; 0 where there are fewer than two."""
        if self.count < 2:
            return 0.0
        return max(0.0, (self.squares - self.total * self.total / self.count) / (self.count - 1))

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.variance / self.count) if self.count else math.inf

    def interval(self, z: float = Z95) -> Interval:
        return Interval(max(0.0, self.mean - z * self.error), self.mean + z * self.error)


def change_of_mean(before: Sample, after: Sample, z: float = Z99) -> Interval:
    """Of `after.mean / before.mean - 1`, with unequal variances as Welch has it, on a logarithmic scale: the error of a
    mean's logarithm is its relative error. So an amount twice as dear is as far from 1 as one half as dear, and the
    lower end stays above -1. Both means must be above 0."""
    middle = math.log(after.mean / before.mean)
    reach = z * math.hypot(before.error / before.mean, after.error / after.mean)
    return Interval(math.expm1(middle - reach), math.expm1(min(middle + reach, 700.0)))
