from dataclasses import fields
from pathlib import Path

import pytest

from gateway.simulator.errors import ApiError
from gateway.simulator.faults import NO_FAULTS, Faults, parse, status_error

KNOWN = "status=N, retry-after=N, delay=N, reset, cut=N, stall=N, error=N, no-usage, cached=N, reasoning=N, tokens=N"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", NO_FAULTS),
        ("status=503", Faults(status=503)),
        ("status=429; retry-after=1.5", Faults(status=429, retry_after=1.5)),
        (" Delay = 0.5 ;cut=3; ", Faults(delay=0.5, cut=3)),
        ("reset", Faults(reset=True)),
        ("no-usage;cached=10;reasoning=64;tokens=200", Faults(no_usage=True, cached=10, reasoning=64, tokens=200)),
        ("stall=0", Faults(stall=0)),
        ("error=2", Faults(error=2)),
    ],
)
def test_what_is_asked_for_is_understood(text: str, faults: Faults) -> None:
    assert parse(text) == faults


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("delay=61", "x-simulate: expected delay=0..60, got '61'."),
        ("delay=nan", "x-simulate: expected delay=0..60, got 'nan'."),
        ("status=200", "x-simulate: expected status=400..599, got '200'."),
        ("status", "x-simulate: expected status=400..599, got ''."),
        ("cut=-1", "x-simulate: expected cut=0..100000, got '-1'."),
        (
            "explode=1",
            f"x-simulate: 'explode=1' is not one of {KNOWN}.",
        ),
    ],
)
def test_what_is_not_understood_is_a_400_that_teaches(text: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(text)
    assert (caught.value.status, caught.value.message) == (400, message)


def test_a_status_comes_with_a_fitting_error_and_its_retry_after() -> None:
    error = status_error(parse("status=429;retry-after=2"))
    assert error is not None
    assert (error.status, error.kind, error.code, error.headers) == (
        429,
        "requests",
        "rate_limit_exceeded",
        {"Retry-After": "2"},
    )


def test_no_status_is_no_error() -> None:
    assert status_error(NO_FAULTS) is None


def test_every_fault_is_in_the_guide() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
    spelled = {field.name.replace("_", "-") for field in fields(Faults)}
    assert {name for name in spelled if f"| `{name}" not in guide} == set()
