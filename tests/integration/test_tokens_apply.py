"""A route's token policy on whole requests, with the real encodings."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.config.model import Tokens
from gateway.errors import PromptTooLong
from gateway.tokens.apply import apply, enforce_prompt
from gateway.tokens.count import TokenCounter
from gateway.values import Request
from tests.support.tokens import encodings


@pytest.fixture
async def counter() -> AsyncIterator[TokenCounter]:
    counter = TokenCounter(encodings())
    yield counter
    counter.close()


def chat(*messages: tuple[str, str]) -> Request:
    fields: dict[str, Any] = {"messages": [{"role": role, "content": content} for role, content in messages]}
    return Request("chat", json.dumps(fields).encode(), fields, "gpt-4o")


CONVERSATION = (
    ("system", "You are terse."),
    ("user", "What is the capital of France? " * 10),
    ("assistant", "Paris."),
    ("user", "And of Spain? " * 10),
    ("assistant", "Madrid."),
    ("user", "And of Italy?"),
)


async def test_without_a_policy_nothing_changes(counter: TokenCounter) -> None:
    request = chat(*CONVERSATION)
    applied = await apply(request, Tokens(), counter, model="gpt-4o")
    assert applied.request.body == request.body
    assert applied.estimate == await counter.estimate(request, "gpt-4o")
    assert (applied.dropped_messages, applied.trimmed_tokens) == (0, 0)


async def test_the_oldest_turns_go_until_the_prompt_fits(counter: TokenCounter) -> None:
    whole = (await counter.estimate(chat(*CONVERSATION), "gpt-4o")).prompt_tokens
    policy = Tokens(max_prompt=whole - 10, over_prompt="drop_oldest")
    applied = await apply(chat(*CONVERSATION), policy, counter, model="gpt-4o")
    assert applied.request.body == chat(CONVERSATION[0], *CONVERSATION[3:]).body.replace(b"}, {", b"},{")
    assert applied.dropped_messages == 2
    assert applied.estimate.prompt_tokens + applied.dropped_tokens == whole
    assert applied.estimate.prompt_tokens <= whole - 10


async def test_what_cannot_be_made_to_fit_is_left_to_be_refused(counter: TokenCounter) -> None:
    policy = Tokens(max_prompt=10, over_prompt="drop_oldest")
    applied = await apply(chat(*CONVERSATION), policy, counter, model="gpt-4o")
    assert applied.dropped_messages == 0
    with pytest.raises(PromptTooLong):
        await enforce_prompt(applied, policy, counter, model="gpt-4o", route="r")


@pytest.mark.parametrize(
    ("endpoint", "field"), [("completions", "prompt"), ("embeddings", "input"), ("responses", "input")]
)
async def test_a_prompt_that_is_no_conversation_has_no_turns_to_leave_out(
    counter: TokenCounter, endpoint: str, field: str
) -> None:
    fields = {field: "What is the capital of France? " * 10}
    request = Request(endpoint, json.dumps(fields).encode(), fields, "gpt-4o")
    policy = Tokens(max_prompt=10, over_prompt="drop_oldest", trim="all")
    applied = await apply(request, policy, counter, model="gpt-4o")
    with pytest.raises(PromptTooLong) as caught:
        await enforce_prompt(applied, policy, counter, model="gpt-4o", route="r")
    assert caught.value.param == field


async def test_a_refusal_names_both_numbers_and_the_largest_parts(counter: TokenCounter) -> None:
    policy = Tokens(max_prompt=50)
    applied = await apply(chat(*CONVERSATION), policy, counter, model="gpt-4o")
    with pytest.raises(PromptTooLong) as caught:
        await enforce_prompt(applied, policy, counter, model="gpt-4o", route="support")
    assert (caught.value.prompt_tokens, caught.value.max_prompt) == (151, 50)
    assert caught.value.message.endswith(
        "The largest parts: messages[1] 75, messages[3] 45, messages[0] 8, messages[5] 8, messages[2] 6."
    )


async def test_a_prompt_at_the_limit_passes(counter: TokenCounter) -> None:
    policy = Tokens(max_prompt=151)
    applied = await apply(chat(*CONVERSATION), policy, counter, model="gpt-4o")
    await enforce_prompt(applied, policy, counter, model="gpt-4o", route="r")


async def test_trimmed_whitespace_is_booked(counter: TokenCounter) -> None:
    request = chat(("user", "one   \ntwo \n\n\n   "), ("user", "\ud800 kept as it is  \n"), ("user", "three"))
    applied = await apply(request, Tokens(trim="trailing"), counter, model="gpt-4o")
    contents = [message["content"] for message in applied.request.fields["messages"]]
    assert contents == ["one\ntwo", "\ud800 kept as it is  \n", "three"]
    assert json.loads(applied.request.body) == applied.request.fields
    before, after = await counter.estimate(request, "gpt-4o"), applied.estimate
    assert applied.trimmed_tokens == before.prompt_tokens - after.prompt_tokens > 0


async def test_large_prompts_are_shortened_alike(counter: TokenCounter) -> None:
    request = chat(*[("user", "Tell me more about it.  \n")] * 5000, ("user", "Now."))
    policy = Tokens(max_prompt=1000, over_prompt="drop_oldest", trim="all", max_completion=5)
    applied = await apply(request, policy, counter, model="gpt-4o")
    assert 990 < applied.estimate.prompt_tokens <= 1000
    assert applied.estimate.completion_tokens == 5
    assert applied.request.fields["messages"][-1]["content"] == "Now."


async def test_each_policy_is_applied_to_a_request_that_comes_again(counter: TokenCounter) -> None:
    """What was worked out for one route, or for a cap that is in force for a while, is not another's."""
    request = chat(*CONVERSATION)
    for cap in (100, 50, 100, None):
        policy = Tokens(max_completion=cap)
        applied = await apply(request, policy, counter, model="gpt-4o")
        assert applied.request.completion_cap == cap
        assert await apply(request, policy, counter, model="gpt-4o") is applied
