"""Embeddings end to end: floats and base64, counted, cached and priced; never streamed."""

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.differential import Pair, both
from tests.support.gateway import Answer, RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream

PATH = "/v1/embeddings"
MODEL = "text-embedding-3-small"
ASKED: dict[str, dict[str, Any]] = {
    "text": {"input": "hello world"},
    "floats": {"input": "hello world", "encoding_format": "float"},
    "base64": {"input": "hello world", "encoding_format": "base64"},
    "texts": {"input": ["one", "two", "three"], "dimensions": 64},
    "tokens": {"input": [15339, 1917]},
    "lists of tokens": {"input": [[15339], [1917, 2]], "encoding_format": "float", "dimensions": 8},
    "emoji": {"input": "\N{GRINNING FACE} é"},
    "refused": {"input": "hello", "dimensions": 1_000_000},
    "too long": {"input": "word " * 9000},
    "rate limit": {"input": "hello", "extra_headers": {"x-simulate": "status=429"}},
}


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with both() as pair:
        yield pair


@pytest.mark.parametrize("name", ASKED)
async def test_the_client_gets_what_it_would_get_without_the_gateway(pair: Pair, name: str) -> None:
    async def ask(client: AsyncOpenAI) -> Any:
        return await client.embeddings.create(model=MODEL, **ASKED[name])

    def blocking(client: OpenAI) -> Any:
        return client.embeddings.create(model=MODEL, **ASKED[name])

    answer = await pair.same(ask)
    assert isinstance(answer, Exception) or answer.data[0].embedding
    await pair.same_in_sync(blocking)


async def test_a_hit_is_the_stored_answer_and_forms_are_told_apart() -> None:
    async with both(routes=[{"name": "default", "upstream": "up", "cache": {}}]) as pair:
        forms: list[Literal["float", "base64"]] = ["float", "base64"]
        for form in forms:

            async def ask(client: AsyncOpenAI, form: Literal["float", "base64"] = form) -> Any:
                return await client.embeddings.create(model=MODEL, input=["one", "two"], encoding_format=form)

            first, second = await pair.through(ask), await pair.through(ask)
            assert first == second
            assert isinstance(first.data[0].embedding, list if form == "float" else str)
        metrics = await pair.gateway.metrics()
        assert metrics("gateway_cache_requests_total", route="default", result="miss") == 2
        assert metrics("gateway_cache_requests_total", route="default", result="hit") == 2
        assert metrics("gateway_saved_usd_total", route="default", reason="cache") > 0


# ------------------------------------------------------------------ on the wire


def body(**more: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]
    return {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 7, "total_tokens": 7}, **more}


async def ask(gw: RunningGateway, **fields: Any) -> Answer:
    return await gw.request("POST", PATH, body=json.dumps({"model": MODEL, "input": "hello", **fields}).encode())


async def test_the_prompt_is_counted_and_priced_and_nothing_else() -> None:
    async with ScriptedUpstream(Reply.of(body())) as up, gateway(config(up.base_url)) as gw:
        answer = await ask(gw, input=["hello world", "hello"])
        assert answer.headers["x-gateway-prompt-tokens"] == "3"
        assert answer.headers["x-gateway-cost-usd"] == "0.000000140"  # 7 tokens at 0.02 dollars a million
        metrics = await gw.metrics()
        labels = {"route": "default", "tier": "none", "model": MODEL}
        assert metrics("gateway_tokens_total", type="input", **labels) == 7
        assert metrics("gateway_tokens_total", type="output", **labels) == 0


async def test_without_a_report_our_own_count_is_booked() -> None:
    answer = body()
    del answer["usage"]
    async with ScriptedUpstream(Reply.of(answer)) as up, gateway(config(up.base_url)) as gw:
        await ask(gw, input=[1, 2, 3, 4, 5])
        labels = {"route": "default", "tier": "none", "model": MODEL}
        assert await gw.metric("gateway_tokens_total", type="input", **labels) == 5
        assert await gw.metric("gateway_cost_usd_total", source="estimated", **labels) == 5 * 20e-9


async def test_bodies_pass_byte_for_byte_whatever_the_caps_of_the_route() -> None:
    sent = b'{ "model": "%s", "input": ["a",  "\\ud800"], "encoding_format":"float", "stream": true }' % MODEL.encode()
    odd = json.dumps(body(), indent=2).encode() + b"\n"
    routes = [{"name": "default", "upstream": "up", "tokens": {"default_completion": 5, "max_completion": 9}}]
    async with ScriptedUpstream(Reply(200, odd)) as up, gateway(config(up.base_url, routes=routes)) as gw:
        answer = await gw.request("POST", PATH, body=sent)
        assert answer.body == odd
        assert up.requests[0].body == sent


async def test_a_prompt_over_the_cap_is_refused_and_its_field_named() -> None:
    routes = [{"name": "default", "upstream": "up", "tokens": {"max_prompt": 3}}]
    async with ScriptedUpstream() as up, gateway(config(up.base_url, routes=routes)) as gw:
        for too_long in ([1, 2, 3, 4], ["one two", "three four"], [[1, 2], [3, 4]]):
            answer = await ask(gw, input=too_long)
            assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
            assert answer.error["param"] == "input"
        assert up.requests == []


async def test_vectors_by_the_thousand_pass() -> None:
    vector = [0.0123456789] * 1536
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(1000)]
    many = body(data=data)
    async with ScriptedUpstream(Reply.of(many)) as up, gateway(config(up.base_url)) as gw:
        answer = await ask(gw, input=["x"] * 1000)
        assert len(answer.body) > 20_000_000
        assert answer.headers["x-gateway-cost-usd"] == "0.000000140"
        assert answer.json() == many


async def test_an_answer_without_vectors_is_passed_on_and_not_stored() -> None:
    routes = [{"name": "default", "upstream": "up", "cache": {}}]
    async with ScriptedUpstream(then=Reply.of(body(data=[]))) as up, gateway(config(up.base_url, routes=routes)) as gw:
        for _ in range(2):
            assert (await ask(gw)).json() == body(data=[])
        assert len(up.requests) == 2
