"""What the end of a try means."""

import pytest

from gateway.errors import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.upstream.classify import (
    Again,
    again_after_error,
    again_after_status,
    is_fault_error,
    is_fault_status,
    outcome_of_error,
)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 425])
def test_what_is_wrong_with_the_request_is_nobodys_fault_and_final(status: int) -> None:
    assert again_after_status(status, b"") is Again.NOWHERE
    assert not is_fault_status(status)


@pytest.mark.parametrize("status", [408, 429])
def test_what_may_pass_later_is_worth_another_try_but_no_fault(status: int) -> None:
    assert again_after_status(status, b"") is Again.ANYWHERE
    assert not is_fault_status(status)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 529])
def test_a_5xx_is_a_fault_and_worth_another_try(status: int) -> None:
    assert again_after_status(status, b"") is Again.ANYWHERE
    assert is_fault_status(status)


def test_an_account_without_money_is_not_asked_twice() -> None:
    assert again_after_status(429, b'{"error":{"code":"insufficient_quota"}}') is Again.ELSEWHERE


def test_an_upstream_that_wants_no_retry_speaks_for_itself_alone() -> None:
    assert again_after_status(500, b"", should_retry="false") is Again.ELSEWHERE
    assert again_after_status(400, b"", should_retry="true") is Again.NOWHERE


@pytest.mark.parametrize(
    ("error", "again", "is_fault", "outcome"),
    [
        (UpstreamUnavailable("no"), Again.ANYWHERE, True, "connect"),
        (UpstreamTimeout("no", was_sent=False), Again.ANYWHERE, True, "timeout"),
        (UpstreamTimeout("no", was_sent=True), Again.NOWHERE, True, "timeout"),
        (UpstreamInvalid("no"), Again.ANYWHERE, True, "invalid"),
        (UpstreamCut("no"), Again.ANYWHERE, True, "cut"),
        (UpstreamBusy("no"), Again.ANYWHERE, False, "busy"),
    ],
)
def test_errors(error: UpstreamError, again: Again, is_fault: bool, outcome: str) -> None:
    assert (again_after_error(error), is_fault_error(error), outcome_of_error(error)) == (again, is_fault, outcome)
