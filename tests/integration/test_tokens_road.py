"""What a request's tokens come to on its way: which model they are counted for, what is dropped, how near the end."""

from typing import Any

from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))
LONG = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "What is the capital of France? " * 10},
    {"role": "assistant", "content": "Paris."},
    {"role": "user", "content": "And of Italy?"},
]


def routed(url: str, tiers: dict[str, list[str]], **sections: Any) -> dict[str, Any]:
    return config(url, tiers=tiers, routes=[{"name": "smart", "tier": "auto"}], **sections)


async def test_the_prompt_is_counted_for_the_model_it_goes_to() -> None:
    tiers = {"cheap": ["up/gpt-4o-mini"], "expensive": ["up/gpt-5"]}
    async with ScriptedUpstream(ANSWER, ANSWER) as up, gateway(routed(up.base_url, tiers)) as gw:
        dear = await gw.chat(headers={"x-gateway-tier": "expensive"})
        cheap = await gw.chat(headers={"x-gateway-tier": "cheap"})
        assert dear.headers["x-gateway-prompt-tokens"] == "7"
        assert cheap.headers["x-gateway-prompt-tokens"] == "8"
        assert await gw.metric("gateway_token_count_error_ratio_sum", model="gpt-4o-mini") == 1


async def test_a_fallback_that_counts_otherwise_is_compared_with_its_own_count() -> None:
    tiers = {"cheap": ["down/gpt-5"], "expensive": ["down/gpt-5", "up/gpt-4o"]}
    async with ScriptedUpstream(*[Reply(500, b"{}")] * 5) as down, ScriptedUpstream(ANSWER) as up:
        upstreams = {"up": {"base_url": up.base_url}, "down": {"base_url": down.base_url}}
        async with gateway(routed(up.base_url, tiers, upstreams=upstreams)) as gw:
            answer = await gw.chat(headers={"x-gateway-tier": "expensive"})
            ratio = await gw.metric("gateway_token_count_error_ratio_sum", model="gpt-4o")
        assert answer.headers["x-gateway-model"] == "up/gpt-4o"
        assert (answer.headers["x-gateway-prompt-tokens"], ratio) == ("8", 1)


async def test_what_was_dropped_is_said_counted_and_saved() -> None:
    tokens = {"max_prompt": 30, "over_prompt": "drop_oldest"}
    routes = [{"name": "default", "upstream": "up", "tokens": tokens}]
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url, routes=routes)) as gw:
        answer = await gw.chat(model="gpt-4o", messages=LONG)
        assert answer.headers["x-gateway-dropped-messages"] == "2"
        assert [message["content"] for message in up.requests[0].json()["messages"]] == [
            "You are terse.",
            "And of Italy?",
        ]
        scrape = await gw.metrics()
        assert scrape("gateway_dropped_messages_total", route="default") == 2
        assert scrape("gateway_saved_usd_total", route="default", reason="trim") == 0.0002025


async def test_a_prompt_near_the_end_of_a_configured_window_is_counted() -> None:
    limits = {"up/my-*": {"context": 100}}
    async with ScriptedUpstream(ANSWER, ANSWER) as up, gateway(config(up.base_url, model_limits=limits)) as gw:
        await gw.chat(model="my-model")
        assert await gw.metric("gateway_context_window_near_total", route="default", model="other") == 0
        await gw.chat(model="my-model", messages=LONG)
        assert await gw.metric("gateway_context_window_near_total", route="default", model="other") == 1
