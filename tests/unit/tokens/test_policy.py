from dataclasses import replace

import pytest

from gateway.config.model import Tokens
from gateway.tokens.count import CountedPart
from gateway.tokens.policy import cap_completion, largest, too_long
from gateway.values import Request


def request(endpoint: str = "chat", **caps: int) -> Request:
    highest = max(caps.values(), default=None)
    return Request(endpoint, b"{}", {}, "gpt-4o", completion_caps=caps, completion_cap=highest)


def parts(*tokens: int) -> list[CountedPart]:
    return [CountedPart(f"messages[{index}]", count, "exact") for index, count in enumerate(tokens)]


def test_a_refusal_names_both_numbers_and_the_route() -> None:
    refusal = too_long(request(), parts(1, 100), 100, route="support")
    assert (refusal.prompt_tokens, refusal.max_prompt) == (101, 100)
    assert "'support'" in refusal.message


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [("chat", "messages"), ("completions", "prompt"), ("embeddings", "input"), ("responses", "input")],
)
def test_the_field_that_is_too_long_is_named(endpoint: str, field: str) -> None:
    assert too_long(request(endpoint), parts(101), 100, route="support").param == field


def test_the_largest_parts_come_first_and_those_of_one_label_are_one() -> None:
    calls = [CountedPart("messages[1]", 3_000, "fitted"), CountedPart("tools", 800, "fitted")]
    assert largest([*parts(10, 2_120, 7, 6, 5, 4), *calls]) == [
        ("messages[1]", 5_120),
        ("tools", 800),
        ("messages[0]", 10),
        ("messages[2]", 7),
        ("messages[3]", 6),
    ]


def test_a_word_of_the_clients_cannot_swell_the_message() -> None:
    assert largest([CountedPart("tools." + "x" * 10_000, 1, "bound")]) == [("tools." + "x" * 54, 1)]


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
