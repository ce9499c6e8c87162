"""Counting with the real encodings, in line and in threads."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.tokens.count import TokenCounter
from gateway.values import Estimate, Request
from tests.support.tokens import encodings

PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom. "


@pytest.fixture
async def counter() -> AsyncIterator[TokenCounter]:
    counter = TokenCounter(encodings())
    yield counter
    counter.close()


def chat(*contents: Any, **rest: Any) -> Request:
    fields = {"model": "gpt-4o", "messages": [{"role": "user", "content": content} for content in contents]}
    return Request("chat", json.dumps(fields).encode(), fields, "gpt-4o", **rest)


async def test_the_cookbooks_example_counts_as_published(counter: TokenCounter) -> None:
    """`num_tokens_from_messages` in OpenAI's cookbook prints 129 and 124, and the API agrees."""
    fields = {"messages": COOKBOOK_MESSAGES}
    request = Request("chat", json.dumps(fields).encode(), fields, "gpt-4-0613")
    assert await counter.estimate(request, "gpt-4-0613") == Estimate(129, "fitted")
    assert await counter.estimate(request, "gpt-4o") == Estimate(124, "fitted")


async def test_the_completion_reserved_is_the_cap_times_the_choices(counter: TokenCounter) -> None:
    assert (await counter.estimate(chat("hi", choices=3, completion_cap=50), "gpt-4o")).completion_tokens == 150
    assert (await counter.estimate(chat("hi"), "gpt-4o")).completion_tokens is None


async def test_the_way_of_counting_does_not_change_the_count(counter: TokenCounter) -> None:
    at_once = await counter.estimate(chat(PROSE * 2), "gpt-4o")
    remembered = await counter.estimate(chat(PROSE * 2), "gpt-4o")
    threaded = await counter.estimate(chat(*[PROSE * 2] * 1000), "gpt-4o")
    assert at_once == remembered == Estimate(50, "exact")
    assert threaded.prompt_tokens == 1000 * (50 - 3) + 3


async def test_text_cut_in_chunks_counts_as_the_whole(counter: TokenCounter) -> None:
    text = PROSE * 2000
    whole = encodings().load_here("o200k_base").count(text)
    assert await counter.count_text(text, "gpt-4o") == whole
    assert await counter.estimate(chat(text), "gpt-4o") == Estimate(whole + 7, "exact")


@pytest.mark.parametrize("unit", ["a", " ", "\n", "/\n", "a\u0301", "字"])
async def test_a_long_run_is_bounded_closely(counter: TokenCounter, unit: str) -> None:
    text = unit * (50_000 // len(unit))
    whole = encodings().load_here("o200k_base").count(text)
    estimate = await counter.estimate(chat(text), "gpt-4o")
    assert estimate.kind == "bound"
    assert whole <= estimate.prompt_tokens - 7 <= whole * 1.01 + 50
    assert await counter.estimate(chat(text), "gpt-4o") == estimate


async def test_a_million_spaces_are_counted(counter: TokenCounter) -> None:
    assert 7_000 < await counter.count_text(" " * 1_000_000, "gpt-4o") < 9_000


async def test_lone_surrogates_are_counted(counter: TokenCounter) -> None:
    assert (await counter.estimate(chat("x \ud800 " * 500), "gpt-4o")).prompt_tokens > 1000


COOKBOOK_MESSAGES = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant"
        " that translates corporate jargon into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth"
        " to touch base on opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
