import math
import random
from collections.abc import Callable

import pytest

from gateway.tokens.lengths import LAG, WARM_UP, Baseline, Lengths

Draw = Callable[[random.Random], float]


def lognormal(sigma: float) -> Draw:
    return lambda rng: 800 * math.exp(rng.gauss(0, sigma))


def alarms(baseline: Baseline, draw: Draw, prompts: int, *, seed: int, times: float = 1) -> list[int]:
    """Which of `prompts` were unusual, the first being 1."""
    rng = random.Random(seed)
    return [n for n in range(1, prompts + 1) if baseline.is_unusual(int(times * draw(rng)))]


@pytest.mark.parametrize(
    ("draw", "most"),
    [
        (lognormal(0.3), 0),
        (lognormal(0.8), 2),
        (lambda rng: rng.choice((300, 300, 3000)) * math.exp(rng.gauss(0, 0.1)), 2),
        (lambda rng: (300 if rng.random() > 0.05 else 5000) * math.exp(rng.gauss(0, 0.1)), 30),
    ],
    ids=["alike", "spread", "two kinds", "few long ones"],
)
def test_steady_traffic_is_not_unusual(draw: Draw, most: int) -> None:
    assert len(alarms(Baseline(), draw, 20_000, seed=1)) <= most


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("sigma", "within"), [(0.05, 1), (0.3, 20)])
def test_a_doubled_context_is_noticed(sigma: float, within: int, seed: int) -> None:
    baseline = Baseline()
    alarms(baseline, lognormal(sigma), 400, seed=seed)
    assert alarms(baseline, lognormal(sigma), 100, seed=seed + 100, times=2)[0] <= within


def test_what_stays_long_becomes_usual() -> None:
    baseline = Baseline()
    alarms(baseline, lognormal(0.1), 400, seed=1)
    unusual = alarms(baseline, lognormal(0.1), 1_000, seed=2, times=3)
    assert LAG <= len(unusual) < 400
    assert unusual[-1] < 500


def test_nothing_is_unusual_before_there_is_a_baseline() -> None:
    baseline = Baseline()
    assert alarms(baseline, lambda rng: 100, WARM_UP + LAG - 1, seed=1) == []
    assert Baseline().is_unusual(10**9) is False


def test_routes_have_baselines_of_their_own() -> None:
    lengths = Lengths()
    for _ in range(200):
        lengths.is_unusual("short", 100)
        lengths.is_unusual("long", 10_000)
    assert lengths.is_unusual("short", 10_000)
    assert not lengths.is_unusual("long", 10_000)
