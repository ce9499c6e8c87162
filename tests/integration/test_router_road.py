"""What the classifier decides, from the client's request to its answer, and what operators are told of it."""

from typing import Any

import pytest

from tests.support.gateway import ADMIN_KEY, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, chat_body

ANSWER = Reply.of(chat_body())
EASY = "What is the capital of France?"
HARD = (
    "Prove that the ring of integers of a quadratic field with class number one is a principal ideal domain, and "
    "derive the consequences for the diophantine equation x^2 + 163 y^2 = p, justifying every step of the argument."
)
KEYED = {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}}


def routed(upstream: ScriptedUpstream, **router: Any) -> dict[str, Any]:
    return config(
        upstream.base_url,
        server=KEYED,
        tiers={"cheap": ["up/gpt-4o-mini"], "expensive": ["up/gpt-4o"]},
        routes=[{"name": "auto", "tier": "auto", "router": router}],
    )


def user(*texts: str) -> list[dict[str, Any]]:
    """A conversation of these questions, all but the last answered."""
    messages: list[dict[str, Any]] = []
    for text in texts:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "Well."}]
    return messages[:-1]


@pytest.mark.parametrize(
    ("messages", "tier"),
    [(user(EASY), "cheap"), (user(HARD), "expensive"), (user(HARD, EASY), "expensive"), (user(EASY, EASY), "cheap")],
)
async def test_a_conversation_goes_where_its_hardest_question_leads(messages: list[Any], tier: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as upstream, gateway(routed(upstream)) as gw:
        answer = await gw.chat(model="auto", messages=messages)
        assert answer.headers["x-gateway-tier"] == tier


@pytest.mark.parametrize(
    ("rules", "request_fields", "tier"),
    [
        ({"always_expensive": {"keywords": ["capital"]}}, {"messages": user(EASY)}, "expensive"),
        (
            {"always_expensive": {"tools": True}},
            {"messages": user(EASY), "tools": [{"type": "function", "function": {"name": "f"}}]},
            "expensive",
        ),
        (
            {"always_expensive": {"system": ["medical"]}},
            {"messages": [{"role": "system", "content": "Be medical."}, *user(EASY)]},
            "expensive",
        ),
        (
            {"always_expensive": {"images": True}},
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": EASY},
                            {"type": "image_url", "image_url": {"url": "data:,"}},
                        ],
                    }
                ]
            },
            "expensive",
        ),
        ({"always_cheap": {"longer_than": 100}}, {"messages": user(HARD)}, "cheap"),
    ],
)
async def test_a_rule_decides_before_the_classifier(rules: Any, request_fields: Any, tier: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as upstream, gateway(routed(upstream, rules=rules)) as gw:
        answer = await gw.chat(model="auto", **request_fields)
        assert answer.headers["x-gateway-tier"] == tier
        assert await gw.metric("gateway_router_decisions_total", route="auto", tier=tier, reason="rule") == 1


async def test_an_operator_is_told_why_without_anything_being_called() -> None:
    async with ScriptedUpstream(then=ANSWER) as upstream, gateway(routed(upstream)) as gw:
        answer = await gw.admin("POST", "/admin/route/explain", {"text": EASY})
        told = answer.json()
        assert (told["route"], told["tier"], told["reason"], told["rule"]) == ("auto", "cheap", "classifier", None)
        assert 0 < told["probability"] < told["threshold"] < 1
        assert len(told["features"]) == 12
        cheap, expensive = told["roads"]
        assert (cheap["target"], expensive["target"]) == ("up/gpt-4o-mini", "up/gpt-4o")
        assert cheap["prompt_tokens"] == expensive["prompt_tokens"] == 7
        assert 0 < cheap["prompt_usd"] < expensive["prompt_usd"]
        assert upstream.requests == []


async def test_an_explanation_names_the_rule_that_fired() -> None:
    rules = {"always_expensive": {"keywords": ["refund*"]}}
    async with ScriptedUpstream(then=ANSWER) as upstream, gateway(routed(upstream, rules=rules)) as gw:
        answer = await gw.admin("POST", "/admin/route/explain", {"messages": user("Any refunds?"), "route": "auto"})
        assert answer.json()["rule"] == "always_expensive.keywords: refunds"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 400),
        ({"text": 1}, 400),
        ({"text": "x", "messages": []}, 400),
        ({"txt": "x"}, 400),
        ({"text": "x", "route": "no"}, 404),
    ],
)
async def test_what_cannot_be_explained_says_why(asked: Any, status: int) -> None:
    async with ScriptedUpstream(then=ANSWER) as upstream, gateway(routed(upstream)) as gw:
        answer = await gw.admin("POST", "/admin/route/explain", asked)
        assert answer.status == status
        assert answer.error["message"]
