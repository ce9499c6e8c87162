"""Whom to ask first, and whom next."""

import pytest

from gateway.config.model import BreakerPolicy, RetryPolicy, Upstream
from gateway.record import Attempt
from gateway.upstream.classify import Again
from gateway.upstream.health import MAX_BREAKERS, Health, RetryBudget
from gateway.values import Target

A, B, C = Target("a", "m"), Target("b", "m"), Target("c", "m")
OTHER_OF_A = Target("a", "n")


def health(*, attempts: int = 2, ratio: float = 0.2, calls: int = 0) -> Health:
    upstream = Upstream(
        base_url="http://localhost/v1",
        retries=RetryPolicy(attempts=attempts, backoff_s=0.2, budget_ratio=ratio),
        breaker=BreakerPolicy(),
    )
    return Health({"a": upstream, "b": upstream, "c": upstream}, calls=lambda _: calls, chance=lambda: 0.5)


def fail(health: Health, target: Target, *, times: int = 5, at: float = 100.0) -> None:
    for _ in range(times):
        health.end(target, at, is_fault=True)


def tried(*targets: Target) -> list[Attempt]:
    return [Attempt(target) for target in targets]


def test_the_first_target_is_asked_first() -> None:
    assert health().first([A, B], 100) == A


def test_a_target_whose_breaker_is_open_is_passed_over() -> None:
    some = health()
    fail(some, A)
    assert some.first([A, B], 101) == B
    assert list(some.open_targets(101)) == [A]


def test_the_last_one_standing_is_asked_whatever_its_breaker_says() -> None:
    some = health()
    fail(some, A, at=101)
    fail(some, B, at=100)
    assert some.first([A], 102) == A
    assert some.first([A, B], 102) == B, "it has been left alone longest"


def test_after_a_failure_the_next_target_is_asked_at_once() -> None:
    assert health().next([A, B], tried(A), Again.ANYWHERE, None, 100) == (B, 0.0)
    assert health().next([A, B], tried(A), Again.ELSEWHERE, None, 100) == (B, 0.0)


def test_a_next_target_whose_breaker_is_open_is_passed_over() -> None:
    some = health()
    fail(some, B)
    assert some.next([A, B, C], tried(A), Again.ANYWHERE, None, 101) == (C, 0.0)


def test_where_there_is_no_other_the_same_is_asked_again_after_a_pause() -> None:
    assert health().next([A], tried(A), Again.ANYWHERE, None, 100) == (A, 0.2)
    assert health(attempts=3).next([A], tried(A, A), Again.ANYWHERE, None, 100) == (A, 0.4)
    assert health().next([A], tried(A), Again.ELSEWHERE, None, 100) is None


def test_retry_after_is_waited_for_if_it_is_short_and_left_to_the_client_if_it_is_long() -> None:
    assert health().next([A], tried(A), Again.ANYWHERE, 3.0, 100) == (A, 3.1)
    assert health().next([A], tried(A), Again.ANYWHERE, 20.0, 100) is None
    assert health().next([A, B], tried(A), Again.ANYWHERE, 20.0, 100) == (B, 0.0)


def test_the_tries_of_a_request_are_counted_over_all_targets() -> None:
    assert health(attempts=2).next([A, B, C], tried(A, B), Again.ANYWHERE, None, 100) is None
    assert health(attempts=3).next([A, B, C], tried(A, B), Again.ANYWHERE, None, 100) == (C, 0.0)
    assert health(attempts=1).next([A, B], tried(A), Again.ANYWHERE, None, 100) is None


def test_what_is_final_is_not_tried_again() -> None:
    assert health().next([A, B], tried(A), Again.NOWHERE, None, 100) is None


def test_an_upstream_that_is_down_is_not_asked_twice() -> None:
    some = health()
    fail(some, A)
    assert some.next([A], tried(A), Again.ANYWHERE, None, 101) is None


def test_a_second_call_to_an_upstream_in_one_request_is_paid_for_from_its_budget() -> None:
    some = health(ratio=0)
    assert some.next([A], tried(A), Again.ANYWHERE, None, 100) is None
    assert some.next([A, OTHER_OF_A], tried(A), Again.ANYWHERE, None, 100) is None
    assert some.next([A, B], tried(A), Again.ANYWHERE, None, 100) == (B, 0.0), "the first call to another is not extra"


def test_the_budget_is_a_share_of_the_requests_and_ten_at_once() -> None:
    budget = RetryBudget(0.2)
    assert [budget.take(10 + n) for n in range(11)] == [True] * 10 + [False]
    assert not budget.take(10 + 10 + 4), "of 24 calls, 10 were retries: four new requests make 0.8"
    assert budget.take(10 + 10 + 5)
    assert not budget.take(10 + 11 + 5)


@pytest.mark.parametrize("requests", [100, 1000, 10_000])
def test_retries_never_pass_a_fifth_of_the_requests_but_for_the_first_ten(requests: int) -> None:
    budget = RetryBudget(0.2)
    calls = retries = 0
    for _ in range(requests):
        calls += 1
        if budget.take(calls):
            calls += 1
            retries += 1
    assert retries <= 10 + 0.2 * requests
    assert retries >= 0.2 * requests


def test_while_all_is_well_nothing_is_remembered() -> None:
    some = health()
    some.end(A, 100, is_fault=False)
    assert some.breakers == {}
    some.end(A, 100, is_fault=True)
    some.end(A, 110, is_fault=False)
    assert list(some.breakers) == [A]
    some.end(A, 140, is_fault=False)
    assert some.breakers == {}, "its last failure is out of the window"


def test_clients_that_make_up_models_do_not_fill_the_memory() -> None:
    some = health()
    for n in range(MAX_BREAKERS + 50):
        some.end(Target("a", f"model-{n}"), 100, is_fault=True)
    assert len(some.breakers) == MAX_BREAKERS


def test_a_half_open_target_gets_probes_and_the_rest_goes_on_elsewhere() -> None:
    some = health()
    fail(some, A)
    firsts = []
    for _ in range(5):
        target = some.first([A, B], 111)
        some.begin(target, 111)
        firsts.append(target)
    assert firsts == [A, A, A, B, B]
