"""What passes through is no way around a budget: what its answer says it used is charged."""

import gzip
import json
from typing import Any

import pytest

from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Step, Stream

PRICES = {"tts": {"input": 100, "output": 1000}}
PATH = "/v1/audio/speech"
USAGE = {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10}
"""$0.0028 on `tts`."""
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ntts\r\n--x--\r\n'
)


def open_to(url: str, **sections: Any) -> dict[str, Any]:
    route = {"name": "default", "upstream": "up", "passthrough": ["/v1/*"]}
    return config(url, prices=PRICES, lease_s=1, routes=[{**route, **sections}])


def answer(**fields: Any) -> bytes:
    return json.dumps({"data": "x" * 100_000, **fields}).encode()


@pytest.mark.parametrize(
    ("step", "sent"),
    [
        (Reply(body=answer(model="tts", usage=USAGE)), b"{}"),
        (Reply(body=answer(usage=USAGE)), b'{"model": "tts"}'),
        (Reply(body=answer(usage=USAGE)), MULTIPART),
        (
            Reply(
                body=gzip.compress(answer(model="tts", usage=USAGE)),
                headers=[("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
            ),
            b"{}",
        ),
        (Stream.of({"delta": "a"}, {"type": "done", "model": "tts", "usage": USAGE}), b"{}"),
    ],
    ids=["answer", "request", "form", "gzip", "stream"],
)
async def test_what_an_answer_says_it_used_is_charged(step: Step, sent: bytes) -> None:
    budget = {"usd": 0.003, "per": "total"}
    async with ScriptedUpstream(then=step) as up, gateway(open_to(up.base_url, budgets=[budget])) as gw:
        assert (await gw.request("POST", PATH, body=sent)).status == 200
        cost = {"route": "default", "tier": "none", "model": "tts", "source": "computed"}
        await gw.until(lambda scrape: scrape("gateway_cost_usd_total", **cost) == pytest.approx(0.0028))
        assert (await gw.request("POST", PATH, body=sent)).status == 200  # something was left
        await gw.until(lambda scrape: scrape("gateway_budget_remaining_usd", scope="route:default:total") < 0)
        refused = await gw.request("POST", PATH, body=sent)
        assert (refused.status, refused.error["code"]) == (429, "insufficient_quota")
        assert len(up.requests) == 2


@pytest.mark.parametrize("sent", [b'{"metadata": {"model": "cheap"}}', MULTIPART + MULTIPART.replace(b"tts", b"x")])
async def test_a_model_that_is_in_doubt_is_not_priced(sent: bytes) -> None:
    async with ScriptedUpstream(then=Reply(body=answer(usage=USAGE))) as up, gateway(open_to(up.base_url)) as gw:
        assert (await gw.request("POST", PATH, body=sent)).status == 200
        await gw.until(lambda scrape: scrape("gateway_price_unknown_total", model="none") == 1)


async def test_fetching_an_earlier_answer_is_not_charged_again() -> None:
    step = Reply(body=answer(model="tts", usage=USAGE))
    async with ScriptedUpstream(then=step) as up, gateway(open_to(up.base_url)) as gw:
        for _ in range(3):
            assert (await gw.request("GET", "/v1/responses/resp_1")).status == 200
        assert [name for name, _ in (await gw.metrics()).samples if name == "gateway_cost_usd_total"] == []


async def test_what_passes_through_counts_among_the_concurrent() -> None:
    async with ScriptedUpstream(then=Reply()) as up, gateway(open_to(up.base_url, limits={"concurrent": 1})) as gw:
        for _ in range(3):
            assert (await gw.request("POST", PATH, body=b"{}")).status == 200


async def test_under_a_budget_nothing_is_answered_in_the_background() -> None:
    body = json.dumps({"model": "gpt-5-mini", "input": "hi", "background": True, "max_output_tokens": 5}).encode()
    budget = {"tokens": 1000, "per": "day"}
    async with ScriptedUpstream() as up, gateway(open_to(up.base_url, budgets=[budget])) as gw:
        refused = await gw.request("POST", "/v1/responses", body=body)
        assert (refused.status, refused.error["code"]) == (400, "background_unmetered")
        assert "'stream'" in refused.error["message"]
        assert up.requests == []


async def test_a_stored_prompt_wants_its_model_named() -> None:
    async with ScriptedUpstream() as up, gateway(open_to(up.base_url)) as gw:
        refused = await gw.request("POST", "/v1/responses", body=b'{"prompt": {"id": "pmpt_1"}}')
        assert (refused.status, refused.error["param"]) == (400, "model")
        assert "stored prompt" in refused.error["message"]
