from dataclasses import replace

import pytest

from gateway.config.model import Tokens
from gateway.errors import PromptTooLong
from gateway.tokens.policy import cap_completion, enforce_prompt
from gateway.values import Estimate, Request


def request(endpoint: str = "chat", **caps: int) -> Request:
    highest = max(caps.values(), default=None)
    return Request(endpoint, b"{}", {}, "gpt-4o", completion_caps=caps, completion_cap=highest)


def test_a_prompt_at_the_limit_passes() -> None:
    enforce_prompt(request(), Estimate(100, "exact"), Tokens(max_prompt=100), route="support")


def test_a_prompt_over_the_limit_names_both_numbers_and_the_route() -> None:
    with pytest.raises(PromptTooLong) as caught:
        enforce_prompt(request(), Estimate(101, "exact"), Tokens(max_prompt=100), route="support")
    assert (caught.value.prompt_tokens, caught.value.max_prompt) == (101, 100)
    assert "'support'" in caught.value.message


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [("chat", "messages"), ("completions", "prompt"), ("embeddings", "input"), ("responses", "input")],
)
def test_the_field_that_is_too_long_is_named(endpoint: str, field: str) -> None:
    with pytest.raises(PromptTooLong) as caught:
        enforce_prompt(request(endpoint), Estimate(101, "exact"), Tokens(max_prompt=100), route="support")
    assert caught.value.param == field


def test_without_a_limit_every_prompt_passes() -> None:
    enforce_prompt(request(), Estimate(10**9, "exact"), Tokens(), route="support")


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ("chat", "max_tokens"),
        ("chat", "max_completion_tokens"),
        ("completions", "max_tokens"),
        ("responses", "max_output_tokens"),
    ],
)
def test_a_higher_limit_is_cut_in_the_clients_own_spelling(endpoint: str, field: str) -> None:
    capped = cap_completion(request(endpoint, **{field: 4000}), Tokens(max_completion=500))
    assert capped.edits == {field: 500}
    assert capped.completion_cap == 500


def test_a_lower_limit_stays_as_sent() -> None:
    capped = cap_completion(request(max_tokens=20), Tokens(max_completion=500, default_completion=100))
    assert capped.edits == {}
    assert capped.completion_cap == 20


def test_both_spellings_at_once_are_both_cut() -> None:
    capped = cap_completion(request(max_tokens=20, max_completion_tokens=9000), Tokens(max_completion=500))
    assert capped.edits == {"max_completion_tokens": 500}
    assert capped.completion_cap == 500


def test_without_a_maximum_the_clients_limit_holds() -> None:
    capped = cap_completion(request(max_tokens=9000), Tokens(default_completion=100))
    assert capped.edits == {}
    assert capped.completion_cap == 9000


def test_naming_no_limit_takes_the_default_and_leaves_the_spelling_open() -> None:
    capped = cap_completion(request(), Tokens(max_completion=500, default_completion=100))
    assert capped.edits == {}
    assert capped.completion_cap == 100


def test_the_maximum_is_the_default_where_none_is_set_or_it_is_higher() -> None:
    assert cap_completion(request(), Tokens(max_completion=500)).completion_cap == 500
    assert cap_completion(request(), Tokens(max_completion=500, default_completion=900)).completion_cap == 500


def test_no_policy_means_no_limit() -> None:
    assert cap_completion(request(), Tokens()).completion_cap is None


def test_embeddings_have_no_completion_to_cap() -> None:
    asked = request("embeddings")
    assert cap_completion(asked, Tokens(max_completion=500)) is asked


def test_earlier_edits_are_kept() -> None:
    asked = replace(request(max_tokens=900), edits={"model": "gpt-4o-mini"})
    assert cap_completion(asked, Tokens(max_completion=500)).edits == {"model": "gpt-4o-mini", "max_tokens": 500}
