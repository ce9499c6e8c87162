"""The cost breaker's arithmetic, minute by minute."""

import random
from itertools import pairwise

import pytest

from gateway.admission.spending import STEPS, Spending, Step
from gateway.config.money import CostBreaker

DOLLAR = 1_000_000_000
CONFIG = CostBreaker(floor_usd=0.5)


class Minutes:
    """A route that is asked and spends; its time is moved by hand."""

    def __init__(self, config: CostBreaker = CONFIG, steps: tuple[Step, ...] = STEPS) -> None:
        self.now_s = 1000.0
        self.spending = Spending(config, steps, self.now_s)
        self.changes: list[tuple[Step, Step]] = []

    def pass_minute(self, nanousd: int, *, requests: int = 20) -> None:
        """`requests` evenly over a minute; each costs its share unless it is held back."""
        for _ in range(requests):
            step, is_probe, change = self.spending.ask(self.now_s)
            if change:
                self.changes.append((change.before, change.after))
            cost = {"cache_only": 0, "refuse": 0}.get(step, nanousd // requests)
            change = self.spending.spend(self.now_s, cost, was_probe=is_probe)
            if change:
                self.changes.append((change.before, change.after))
            self.now_s += 60 / requests

    def learn(self, minutes: int = 40, usual: int = DOLLAR) -> None:
        chance = random.Random(1)
        for _ in range(minutes):
            self.pass_minute(round(usual * chance.uniform(0.5, 1.5)))


def test_usual_minutes_trip_nothing() -> None:
    here = Minutes()
    here.learn(600)
    assert here.changes == []


def test_nothing_trips_before_enough_is_known() -> None:
    here = Minutes()
    here.learn(20)
    here.pass_minute(1000 * DOLLAR)
    assert here.changes == []


def test_a_runaway_is_stepped_down_one_step_at_a_time_until_it_spends_no_more() -> None:
    here = Minutes()
    here.learn()
    for _ in range(3):
        here.pass_minute(1000 * DOLLAR, requests=120)
    assert here.changes[:3] == [("normal", "cheap"), ("cheap", "cap"), ("cap", "cache_only")]
    assert here.spending.step == "cache_only"  # where nothing is spent there is no reason to go on to `refuse`


def test_a_step_that_is_enough_is_the_last() -> None:
    here = Minutes()
    here.learn()
    change = here.spending.spend(here.now_s, 100 * DOLLAR)
    assert change is not None
    assert (change.before, change.after, change.spending // DOLLAR) == ("normal", "cheap", 100)
    here.now_s += 1
    here.pass_minute(DOLLAR)
    assert (here.spending.step, here.changes) == ("cheap", [])


def test_steps_that_cannot_help_are_left_out() -> None:
    here = Minutes(steps=("normal", "cap", "refuse"))
    here.learn()
    here.pass_minute(1000 * DOLLAR, requests=120)
    assert here.changes[:2] == [("normal", "cap"), ("cap", "refuse")]


def test_probes_find_the_way_back_when_spending_is_usual_again() -> None:
    here = Minutes()
    here.learn()
    for _ in range(2):
        here.pass_minute(1000 * DOLLAR, requests=120)
    for _ in range(20):
        here.pass_minute(DOLLAR, requests=60)
    assert here.changes[-3:] == [("cache_only", "cap"), ("cap", "cheap"), ("cheap", "normal")]


def test_while_it_goes_on_probes_keep_it_down_and_come_less_and_less_often() -> None:
    here = Minutes()
    here.learn()
    probes: list[float] = []
    for _ in range(120 * 30):
        step, is_probe, _ = here.spending.ask(here.now_s)
        cost = 10 * DOLLAR if is_probe or step not in ("cache_only", "refuse") else 0
        if is_probe:
            probes.append(here.now_s)
        here.spending.spend(here.now_s, cost, was_probe=is_probe)
        here.now_s += 0.5
    assert here.spending.step == "cache_only"
    tries = [at for at, before in zip(probes[1:], probes, strict=False) if at - before > 30]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert all(later > 1.5 * earlier for earlier, later in pairwise(gaps))
    assert len(tries) >= 2


@pytest.mark.parametrize("floor_usd", [0.5, 50])
def test_below_the_floor_nothing_is_too_much(floor_usd: float) -> None:
    here = Minutes(CostBreaker(floor_usd=floor_usd))
    here.learn(usual=DOLLAR // 100)
    here.pass_minute(20 * DOLLAR)
    assert bool(here.changes) == (floor_usd < 20)


def test_a_slow_growth_is_learned_and_not_held() -> None:
    here = Minutes()
    cost = float(DOLLAR)
    for _ in range(400):
        here.pass_minute(round(cost))
        cost *= 1.005
    assert here.changes == []


def test_minutes_that_were_held_down_are_not_learned() -> None:
    here = Minutes()
    here.learn()
    usual = here.spending.usual.median
    for _ in range(5):
        here.pass_minute(1000 * DOLLAR)
    assert here.spending.usual.median == usual
