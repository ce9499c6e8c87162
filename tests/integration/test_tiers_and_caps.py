"""Caps before the call, tiers by the shipped classifier."""

from typing import Any

import pytest

from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))
TIERS = {"cheap": ["up/gpt-5-nano"], "expensive": ["up/gpt-5"]}
SIMPLE = "What is the capital of France?"
HARD = (
    "A particle of mass m moves in the potential V(x) = k x^4. Using the WKB approximation, derive the energy levels "
    "E_n in terms of n, m, k and hbar, and evaluate the prefactor numerically to three significant figures.\n"
    "A. 1.38\nB. 2.19\nC. 0.87\nD. 1.06\nE. 3.33\nF. 0.52\nG. 2.75\nH. 1.91\nI. 4.02\nJ. 0.11"
)


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def routed(url: str, **route: Any) -> dict[str, Any]:
    return config(url, tiers=TIERS, routes=[{"name": "smart", "tier": "auto", **route}])


async def test_a_prompt_over_the_cap_is_refused_with_both_numbers_before_the_call() -> None:
    async with ScriptedUpstream() as up, gateway(routed(up.base_url, tokens={"max_prompt": 100})) as gw:
        answer = await gw.chat(messages=asking("word " * 500))
        assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
        assert "507 tokens" in answer.error["message"]
        assert "limit of 100 tokens" in answer.error["message"]
        assert up.requests == []
        assert await gw.metric("gateway_rejected_total", route="smart", reason="context_length_exceeded") == 1


@pytest.mark.parametrize(
    ("asked", "tokens", "sent"),
    [
        ({"max_tokens": 900}, {"max_completion": 500}, {"max_tokens": 500}),
        ({"max_completion_tokens": 900}, {"max_completion": 500}, {"max_completion_tokens": 500}),
        (
            {"max_tokens": 900, "max_completion_tokens": 20},
            {"max_completion": 500},
            {"max_tokens": 500, "max_completion_tokens": 20},
        ),
        ({"max_tokens": 100}, {"max_completion": 500}, {"max_tokens": 100}),
        ({}, {"max_completion": 500}, {"max_completion_tokens": 500}),
        ({}, {"default_completion": 300, "max_completion": 500}, {"max_completion_tokens": 300}),
        ({"max_tokens": None}, {"default_completion": 300}, {"max_tokens": None, "max_completion_tokens": 300}),
        ({}, {}, {}),
    ],
)
async def test_the_completion_cap_arrives_at_the_upstream(
    asked: dict[str, Any], tokens: dict[str, int], sent: dict[str, Any]
) -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(routed(up.base_url, tokens=tokens)) as gw:
        assert (await gw.chat(**asked)).status == 200
        caps = {name: value for name, value in up.requests[0].json().items() if name.startswith("max_")}
        assert caps == sent


async def test_the_default_cap_takes_the_upstreams_own_spelling() -> None:
    async with ScriptedUpstream(ANSWER) as up:
        document = routed(up.base_url, tokens={"default_completion": 300})
        document["upstreams"]["up"]["completion_field"] = "max_tokens"
        async with gateway(document) as gw:
            await gw.chat()
            assert up.requests[0].json()["max_tokens"] == 300


@pytest.mark.parametrize(("text", "tier", "model"), [(SIMPLE, "cheap", "gpt-5-nano"), (HARD, "expensive", "gpt-5")])
async def test_the_shipped_classifier_sends_simple_and_hard_to_different_tiers(
    text: str, tier: str, model: str
) -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(routed(up.base_url)) as gw:
        answer = await gw.chat(model="auto", messages=asking(text))
        assert answer.headers["x-gateway-tier"] == tier
        assert answer.headers["x-gateway-model"] == f"up/{model}"
        assert up.requests[0].json()["model"] == model
        assert await gw.metric("gateway_router_decisions_total", route="smart", tier=tier, reason="classifier") == 1


async def test_a_caller_may_name_the_tier_of_an_auto_route() -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(routed(up.base_url)) as gw:
        answer = await gw.chat(messages=asking(SIMPLE), headers={"x-gateway-tier": "expensive"})
        assert answer.headers["x-gateway-tier"] == "expensive"
        assert up.requests[0].json()["model"] == "gpt-5"


@pytest.mark.parametrize(("route", "tier", "status"), [({"tier": "cheap"}, "expensive", 403), ({}, "best", 400)])
async def test_the_operators_tier_stands_and_an_unknown_one_is_refused(
    route: dict[str, str], tier: str, status: int
) -> None:
    async with ScriptedUpstream() as up, gateway(routed(up.base_url, **route)) as gw:
        assert (await gw.chat(headers={"x-gateway-tier": tier})).status == status
        assert up.requests == []


async def test_a_model_without_a_price_is_flagged_or_refused() -> None:
    async with ScriptedUpstream(ANSWER) as up:
        async with gateway(config(up.base_url)) as gw:
            answer = await gw.chat(model="house-model")
            assert answer.status == 200
            assert "x-gateway-cost-usd" not in answer.headers
            assert await gw.metric("gateway_price_unknown_total", model="other") == 1
        async with gateway(config(up.base_url, unknown_price="reject")) as gw:
            answer = await gw.chat(model="house-model")
            assert (answer.status, answer.error["code"]) == (400, "model_price_unknown")
    assert len(up.requests) == 1
