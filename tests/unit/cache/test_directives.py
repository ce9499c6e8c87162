"""`Cache-Control` as clients send it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.directives import Directives, parse_directives


@pytest.mark.parametrize(
    ("header", "directives"),
    [
        (None, Directives()),
        ("", Directives()),
        ("no-cache", Directives(no_cache=True)),
        ("No-Store", Directives(no_store=True)),
        ("max-age=60", Directives(max_age_s=60)),
        ('max-age="60"', Directives(max_age_s=60)),
        ("max-age=0", Directives(max_age_s=0)),
        ("only-if-cached, max-age=5", Directives(only_if_cached=True, max_age_s=5)),
        (" no-cache ,no-store,, ", Directives(no_cache=True, no_store=True)),
        ("max-age=60, max-age=10", Directives(max_age_s=10)),
        ("max-age=99999999999999999999999", Directives(max_age_s=2**31)),
    ],
)
def test_directives_are_read(header: str | None, directives: Directives) -> None:
    assert parse_directives(header) == directives


@pytest.mark.parametrize(
    "header",
    [
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=1.5",
        "max-age=٣",
        "max-age=1 2",
        "no-cache=yes",
        "no_cache",
        "no-cache no-store",
        "public, max-stale=5, immutable",
        "=",
    ],
)
def test_what_is_malformed_or_unknown_asks_for_nothing(header: str) -> None:
    assert parse_directives(header) == Directives()


def test_one_malformed_directive_does_not_spoil_the_others() -> None:
    assert parse_directives("max-age=soon, no-store") == Directives(no_store=True)


def test_what_may_be_done() -> None:
    assert (Directives().may_serve, Directives().may_store) == (True, True)
    assert (Directives(no_cache=True).may_serve, Directives(no_cache=True).may_store) == (False, True)
    assert (Directives(no_store=True).may_serve, Directives(no_store=True).may_store) == (False, False)


@given(st.text())
def test_any_text_can_be_read(header: str) -> None:
    parse_directives(header)
