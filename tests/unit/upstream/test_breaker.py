"""A target that keeps failing is left alone, and asked again after a while."""

from gateway.config.model import BreakerPolicy
from gateway.upstream.breaker import Breaker

POLICY = BreakerPolicy(failures=5, error_ratio=0.5, window_s=30, open_s=10)


def fed(ends: str, *, at: float = 100.0) -> Breaker:
    """A breaker after calls that went well (`.`) or badly (`x`)."""
    breaker = Breaker(POLICY)
    for end in ends:
        breaker.end(at, is_fault=end == "x", is_probe=breaker.begin(at))
    return breaker


def test_it_opens_at_the_fifth_failure_and_not_before() -> None:
    assert fed("xxxx").state(100) == "closed"
    assert fed("xxxxx").state(100) == "open"


def test_failures_among_more_successes_do_not_open_it() -> None:
    assert fed("xxxxx" + "." * 4).state(100) == "open"
    assert fed("." * 6 + "xxxxx").state(100) == "closed"
    assert fed("." * 6 + "xxxxxx").state(100) == "open"


def test_failures_further_apart_than_the_window_do_not_add_up() -> None:
    breaker = fed("xxxx")
    breaker.end(131.0, is_fault=True, is_probe=False)
    assert breaker.counts(131) == (0, 1)
    assert breaker.state(131) == "closed"


def test_the_end_of_a_call_whose_client_left_says_nothing() -> None:
    breaker = fed("xxxx")
    breaker.end(100, is_fault=None, is_probe=False)
    assert breaker.counts(100) == (0, 4)


def test_open_it_lets_nothing_through_until_its_time_is_over() -> None:
    breaker = fed("xxxxx")
    assert not breaker.allows(109.9)
    assert breaker.state(110) == "half-open"
    assert breaker.allows(110)


def test_half_open_it_lets_three_through_at_a_time() -> None:
    breaker = fed("xxxxx")
    assert [breaker.begin(110) for _ in range(4)] == [True, True, True, False]
    assert not breaker.allows(110)
    breaker.end(111, is_fault=None, is_probe=True)
    assert breaker.allows(111)


def test_two_good_probes_close_it_with_a_clean_record() -> None:
    breaker = fed("xxxxx")
    for _ in range(2):
        breaker.end(111, is_fault=False, is_probe=breaker.begin(110))
    assert breaker.state(111) == "closed"
    assert breaker.is_idle(111)


def test_one_bad_probe_opens_it_for_the_whole_time_again() -> None:
    breaker = fed("xxxxx")
    breaker.end(111, is_fault=False, is_probe=breaker.begin(110))
    breaker.end(112, is_fault=True, is_probe=breaker.begin(110))
    assert breaker.state(121.9) == "open"
    assert breaker.state(122) == "half-open"


def test_calls_begun_before_it_opened_do_not_decide_about_its_closing() -> None:
    breaker = fed("xxxxx")
    for _ in range(5):
        breaker.end(110, is_fault=False, is_probe=False)
    assert breaker.state(110) == "half-open"
