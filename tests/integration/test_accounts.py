"""What a scrape says equals, to the nano-dollar, what one computes by hand from the requests sent."""

from typing import Any

from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, usage

PRICES = {
    "up/small": {"input": 0.15, "cached_input": 0.0375, "output": 0.6},
    "up/large": {"input": 2.5, "cached_input": 1.25, "output": 10},
}
TIERS = {"cheap": ["up/small"], "expensive": ["up/large"]}
AUTO = {"name": "smart", "match": {"models": ["auto"]}, "tier": "auto", "router": {"threshold": 1.0}, "cache": {}}
ROUTES: list[dict[str, Any]] = [AUTO, {"name": "default", "upstream": "up"}]


async def test_tokens_cost_and_savings_add_up() -> None:
    """Per call: (input - cached) x input price + cached x cached price + output x output price, in nano-dollars."""
    whole = Reply.of(chat_body("a", usage=usage(1000, 200, cached_tokens=301, reasoning_tokens=50)))
    stream = Stream.of(*chat_chunks("a", "b", usage=usage(7, 3)))
    refusal = Reply.of({"error": {"message": "no", "type": "x", "param": None, "code": None}}, 400)
    document = config("", tiers=TIERS, prices=PRICES, routes=ROUTES)
    async with ScriptedUpstream(whole, stream, refusal, stream) as up:
        document["upstreams"]["up"]["base_url"] = up.base_url
        async with gateway(document) as gw:
            first = await gw.chat(model="auto")
            await gw.chat(model="auto")  # a hit
            await gw.chat(model="auto", stream=True, seed=1)
            await gw.chat(model="auto", seed=2)  # refused by the upstream
            await gw.chat(model="large", stream=True)
            scrape = await gw.metrics()

    # 699 x 150 + 301 x 37.5 + 200 x 600 = 236,137.5, rounded half up
    whole_cost = 236_138
    assert first.headers["x-gateway-cost-usd"] == "0.000236138"
    stream_cost = 7 * 150 + 3 * 600
    label = {"route": "smart", "tier": "cheap", "model": "small"}
    assert scrape("gateway_cost_usd_total", **label, source="computed") == (whole_cost + stream_cost) / 1e9
    direct = {"route": "default", "tier": "none", "model": "large"}
    assert scrape("gateway_cost_usd_total", **direct, source="computed") == (7 * 2500 + 3 * 10_000) / 1e9

    # the same tokens at the expensive tier's first target:
    # 699 x 2500 + 301 x 1250 + 200 x 10,000 and 7 x 2500 + 3 x 10,000
    dearer = (1_747_500 + 376_250 + 2_000_000) + (17_500 + 30_000)
    assert scrape("gateway_saved_usd_total", route="smart", reason="tier") == (dearer - whole_cost - stream_cost) / 1e9
    assert scrape("gateway_saved_usd_total", route="smart", reason="cache") == whole_cost / 1e9

    assert scrape("gateway_tokens_total", **label, type="input") == 699 + 7
    assert scrape("gateway_tokens_total", **label, type="cached_input") == 301
    assert scrape("gateway_tokens_total", **label, type="output") == 200 + 3
    assert scrape("gateway_tokens_total", **label, type="reasoning") == 50
    assert scrape("gateway_tokens_total", **direct, type="input") == 7

    assert scrape("gateway_requests_total", **label, endpoint="chat", code="200") == 3
    assert scrape("gateway_requests_total", **label, endpoint="chat", code="400") == 1
    assert scrape("gateway_requests_total", **direct, endpoint="chat", code="200") == 1
    assert scrape("gateway_cache_requests_total", route="smart", result="hit") == 1
    assert scrape("gateway_cache_requests_total", route="smart", result="miss") == 3
    assert scrape("gateway_router_decisions_total", route="smart", tier="cheap", reason="classifier") == 4
    assert scrape("gateway_upstream_attempts_total", upstream="up", outcome="ok") == 3
    assert scrape("gateway_upstream_attempts_total", upstream="up", outcome="status_4xx") == 1


async def test_a_stream_without_usage_is_counted_and_marked_estimated() -> None:
    document = config("", prices=PRICES)
    async with ScriptedUpstream(Stream.of(*chat_chunks("Hello", " there"))) as up:
        document["upstreams"]["up"]["base_url"] = up.base_url
        async with gateway(document) as gw:
            await gw.chat(model="small", stream=True)
            labels = {"route": "default", "tier": "none", "model": "small"}
            assert await gw.metric("gateway_tokens_total", **labels, type="input") == 8  # "hello" and the frame
            assert await gw.metric("gateway_tokens_total", **labels, type="output") == 2
            spent = (8 * 150 + 2 * 600) / 1e9
            assert await gw.metric("gateway_cost_usd_total", **labels, source="estimated") == spent


async def test_what_the_upstream_says_it_cost_is_booked_as_reported() -> None:
    answer = Reply.of(chat_body("a", usage={**usage(10, 10), "cost": 0.0042}))
    async with ScriptedUpstream(answer) as up, gateway(config(up.base_url)) as gw:
        await gw.chat(model="house-model")
        labels = {"route": "default", "tier": "none", "model": "other", "source": "reported"}
        assert await gw.metric("gateway_cost_usd_total", **labels) == 0.0042
