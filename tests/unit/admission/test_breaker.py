"""The cost breaker over routes and keys, and over a reload."""

from gateway.admission.breaker import Breaker
from gateway.clock import ManualClock
from gateway.config.model import Config, Route, Upstream
from gateway.config.money import CostBreaker
from gateway.values import Caller

DOLLAR = 1_000_000_000
BOT = Caller("bot")
SETTINGS = CostBreaker(warm_up_minutes=5, floor_usd=0.1)


def breaker(clock: ManualClock, settings: CostBreaker = SETTINGS) -> Breaker:
    config = Config(
        auth="none",
        upstreams={"up": Upstream(base_url="http://localhost/v1")},
        routes=(Route(name="main", upstream="up"), Route(name="other", upstream="up")),
    )
    return Breaker(config, settings, clock)


def run_away(here: Breaker, clock: ManualClock) -> None:
    for _ in range(7):
        here.spend(BOT, "main", DOLLAR // 100, ())
        clock.advance(60)
    here.spend(BOT, "main", 100 * DOLLAR, ())


def test_a_runaway_holds_its_route_and_its_key_and_nobody_else() -> None:
    clock = ManualClock()
    here = breaker(clock)
    run_away(here, clock)
    assert here.allowed(BOT, "main").step == "cap"  # no tier to go down to
    assert here.allowed(BOT, "other").step == "cap"
    assert here.allowed(Caller("lab"), "main").step == "cap"
    assert here.allowed(Caller("lab"), "other").step == "normal"
    assert here.levels() == {("route:main",): 2, ("key:issued",): 2}


def test_callers_that_anyone_can_make_up_are_not_watched() -> None:
    clock = ManualClock()
    here = breaker(clock)
    for number in range(10):
        here.spend(Caller(f"client-{number}", has_own_credentials=True), "main", DOLLAR, ())
    here.spend(Caller("anonymous"), "main", DOLLAR, ())
    assert set(here.levels()) == {("route:main",)}


def test_a_reload_does_not_let_go_what_is_held() -> None:
    clock = ManualClock()
    here = breaker(clock)
    run_away(here, clock)
    later = breaker(clock)
    later.adopt(here)
    assert later.allowed(BOT, "main").step == "cap"
    assert later.taken == here.taken
    changed = breaker(clock, CostBreaker(warm_up_minutes=5, floor_usd=1000))
    changed.adopt(here)
    assert changed.allowed(BOT, "main").step == "normal"


def test_keys_beyond_the_most_that_are_watched_push_out_those_used_longest_ago() -> None:
    here = breaker(ManualClock())
    for number in range(2_500):
        here.spend(Caller(f"key-{number}"), "main", 1, ())
    assert len(here._watched) == 2_000
    assert "route:main" in here._watched
