"""The cost breaker on the way of a request. The story it is for: an agent in a loop, $12,000 before anyone looked."""

from collections.abc import Callable

import pytest

from gateway.clock import ManualClock
from tests.support.gateway import RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Seen, chat_body, usage

PRICES = {"small": {"input": 1, "output": 10}, "large": {"input": 1000, "output": 10_000}}
"""An ordinary call on `large` costs $0.01; one of the loop, with 4,000 tokens out, $40."""
BREAKER = {"floor_usd": 0.1, "warm_up_minutes": 10, "step_s": 20, "hold_s": 60}


def model_api(completion: Callable[[Seen], int]) -> Callable[[Seen], Reply]:
    def answer(request: Seen) -> Reply:
        return Reply.of(chat_body("Hello.", usage=usage(0, completion(request))))

    return answer


def tokens(request: Seen) -> int:
    """What an agent in a loop uses: all it may."""
    return int(request.json()["max_completion_tokens"])


def document(url: str) -> dict[str, object]:
    return config(
        url,
        auth="required",
        keys=[{"name": "agent", "key": "agent-secret"}, {"name": "other", "key": "other-secret"}],
        prices=PRICES,
        tiers={"cheap": ["up/small"], "expensive": ["up/large"]},
        routes=[
            {"name": "smart", "match": {"models": ["auto"]}, "tier": "auto", "router": {"threshold": 0}, "cache": {}},
            {"name": "rest", "tier": "expensive"},
        ],
        cost_breaker=BREAKER,
    )


async def spent(gw: RunningGateway) -> float:
    return sum(value for (name, _), value in (await gw.metrics()).samples.items() if name == "gateway_cost_usd_total")


async def test_the_loop_that_would_have_cost_12_000_dollars(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    async with (
        ScriptedUpstream(then=model_api(tokens)) as up,
        gateway(document(up.base_url), clock) as gw,
    ):
        for minute in range(12):  # what is usual: a cent or two a minute
            assert (await gw.chat(key="agent-secret", model="auto", max_completion_tokens=1, seed=minute)).status == 200
            clock.advance(60)
        before = await spent(gw)
        assert before == pytest.approx(12 * 0.01)

        statuses, tiers = [], []
        for call in range(300):  # the loop: $40 a call, one a second; $12,000 after five minutes
            answer = await gw.chat(key="agent-secret", model="auto", max_completion_tokens=4000, seed=1000 + call)
            statuses.append(answer.status)
            tiers.append(answer.headers.get("x-gateway-tier"))
            clock.advance(1)
        cost = await spent(gw) - before
        assert cost < 50
        assert statuses[0] == 200
        assert tiers[1] == "cheap"
        scrape = await gw.metrics()
        for scope in ("route:smart", "key:agent"):
            assert scrape("gateway_cost_breaker_steps_total", scope=scope, to="cheap") >= 1
        assert any("cost breaker: key:agent goes from normal to cheap: $40" in line for line in caplog.messages)

        refused = await gw.chat(key="agent-secret", model="auto", max_completion_tokens=4000, seed=1)
        kept = await gw.chat(key="other-secret", model="other", max_completion_tokens=1)
        assert kept.status == 200  # who did nothing unusual on another route goes on
        assert refused.status in (200, 429)


async def test_stored_answers_go_on_and_usual_spending_finds_the_way_back() -> None:
    clock = ManualClock()
    async with ScriptedUpstream(then=model_api(tokens)) as up, gateway(document(up.base_url), clock) as gw:

        async def ask(completion: int, seed: int) -> tuple[int, str]:
            answer = await gw.chat(key="agent-secret", model="auto", max_completion_tokens=completion, seed=seed)
            return answer.status, answer.headers.get("Cache-Status", "")

        for minute in range(12):
            await ask(1, minute)
            clock.advance(60)
        for call in range(80):
            await ask(4000, 1000 + call)
            clock.advance(1)
        assert (await gw.metrics())("gateway_cost_breaker_step", scope="key:agent") == 3
        assert {request.json()["max_completion_tokens"] for request in up.requests} == {1, 256, 4000}
        sent = len(up.requests)
        assert (await ask(4000, 2000))[0] == 429
        status, cached = await ask(4000, 1000)  # the first, which was answered as it was meant to be
        assert (status, cached.startswith("gateway; hit")) == (200, True)
        assert len(up.requests) == sent

        for call in range(150):
            await ask(1, 10_000 + call)
            clock.advance(8)
        assert (await gw.metrics())("gateway_cost_breaker_step", scope="key:agent") == 0
