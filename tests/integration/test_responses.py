"""The Responses API end to end: OpenAI's client sees no gateway, and a stored answer serves both forms."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from tests.support.differential import Pair, both, client_of, plain
from tests.support.gateway import Answer, RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Seen, Stream

PATH = "/v1/responses"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Current weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
RUN: Any = {"type": "custom", "name": "run", "description": "Run a program"}
SCHEMA: Any = {
    "type": "json_schema",
    "name": "city",
    "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PARIS = "Tell me about Paris."
CALLED: Any = [
    {"role": "user", "content": [{"type": "input_text", "text": "What is the weather in Paris?"}]},
    {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "Sunny."},
]
ASKED: dict[str, dict[str, Any]] = {
    "text": {"input": PARIS},
    "items": {"input": [{"role": "user", "content": PARIS}], "instructions": "Be brief.", "temperature": 1.0},
    "tools": {"input": "What is the weather in Paris?", "tools": [WEATHER], "tool_choice": "required"},
    "custom tool": {"input": "Run it.", "tools": [RUN], "tool_choice": "required"},
    "tool result": {"input": CALLED, "tools": [WEATHER]},
    "schema": {"input": "A city, as json.", "text": {"format": SCHEMA}},
    "cut": {"input": PARIS, "max_output_tokens": 16},
    "emoji": {"input": "Say \N{GRINNING FACE} and é."},
    "reasoning": {"input": PARIS, "extra_headers": {"x-simulate": "reasoning=20"}},
    "no usage": {"input": PARIS, "extra_headers": {"x-simulate": "no_usage"}},
    "refused": {"input": PARIS, "temperature": 9},
    "unknown id": {"input": PARIS, "previous_response_id": "resp_0"},
    "rate limit": {"input": PARIS, "extra_headers": {"x-simulate": "status=429"}},
    "broken": {"input": PARIS, "extra_headers": {"x-simulate": "error=5"}},
}
CACHED = [name for name in ASKED if name not in ("unknown id", "refused", "rate limit", "broken", "no usage")]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with both() as pair:
        yield pair


async def streamed(client: AsyncOpenAI, **fields: Any) -> list[Any]:
    return [event async for event in await client.responses.create(model="gpt-5-mini", stream=True, **fields)]


# ------------------------------------------------------------------ as without the gateway


@pytest.mark.parametrize("name", ASKED)
async def test_the_client_gets_what_it_would_get_without_the_gateway(pair: Pair, name: str) -> None:
    await pair.same(lambda client: client.responses.create(model="gpt-5-mini", **ASKED[name]))
    await pair.same(lambda client: streamed(client, **ASKED[name]))


async def test_so_does_the_client_that_blocks(pair: Pair) -> None:
    def ask(client: OpenAI) -> Any:
        return client.responses.create(model="gpt-5-mini", input=PARIS)

    def stream(client: OpenAI) -> Any:
        return list(client.responses.create(model="gpt-5-mini", input=PARIS, stream=True))

    assert (await pair.same_in_sync(ask)).output_text
    assert (await pair.same_in_sync(stream))[-1].type == "response.completed"


async def test_so_do_the_clients_helpers(pair: Pair) -> None:
    class City(BaseModel):
        city: str

    async def parsed(client: AsyncOpenAI) -> Any:
        return await client.responses.parse(model="gpt-5-mini", input="A city, as json.", text_format=City)

    async def helped(client: AsyncOpenAI) -> Any:
        async with client.responses.stream(model="gpt-5-mini", input=PARIS) as stream:
            return [event async for event in stream], await stream.get_final_response()

    assert isinstance((await pair.same(parsed)).output_parsed, City)
    _, final = await pair.same(helped)
    assert final.output_text


# ------------------------------------------------------------------ cached


@pytest.fixture
async def cached() -> AsyncIterator[Pair]:
    async with both(routes=[{"name": "default", "upstream": "up", "cache": {}}]) as pair:
        yield pair


def final(events: list[Any]) -> Response:
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type in ("response.completed", "response.incomplete")
    response = events[-1].response
    assert isinstance(response, Response)
    return response


@pytest.mark.parametrize("name", CACHED)
@pytest.mark.parametrize("is_filled_by_a_stream", [True, False])
async def test_a_hit_answers_in_either_form_whichever_filled_it(
    cached: Pair, name: str, is_filled_by_a_stream: bool
) -> None:
    fields = {"model": "gpt-5-mini", "store": False, **ASKED[name]}

    async def whole(client: AsyncOpenAI) -> tuple[Any, str]:
        raw = await client.responses.with_raw_response.create(**fields)
        return raw.parse(), raw.headers["Cache-Status"]

    async def told(client: AsyncOpenAI) -> tuple[Any, str]:
        raw = await client.responses.with_raw_response.create(**fields, stream=True)
        return final([event async for event in raw.parse()]), raw.headers["Cache-Status"]

    first, second = (told, whole) if is_filled_by_a_stream else (whole, told)
    filled, status = await cached.through(first)
    assert status.startswith("gateway; fwd=miss")
    for again in (second, first):
        response, status = await cached.through(again)
        assert status.startswith("gateway; hit")
        assert response == filled
    direct = await Pair.same(cached, lambda client: client.responses.create(**fields))
    assert plain(direct) == plain(filled)


async def test_a_replayed_stream_is_what_the_clients_own_accumulator_takes(cached: Pair) -> None:
    async def helped(client: AsyncOpenAI) -> Any:
        async with client.responses.stream(
            model="gpt-5-mini", input="What is the weather?", tools=[WEATHER], tool_choice="required", store=False
        ) as stream:
            async for _ in stream:
                pass
            return await stream.get_final_response()

    assert await cached.through(helped) == await cached.through(helped)
    assert await cached.gateway.metric("gateway_cache_requests_total", route="default", result="hit") == 1


@pytest.mark.parametrize("more", [{}, {"store": True}, {"store": False, "tools": [{"type": "web_search"}]}])
async def test_what_makes_state_upstream_is_asked_again(cached: Pair, more: dict[str, Any]) -> None:
    for _ in range(2):
        await cached.through(lambda client: client.responses.create(model="gpt-5-mini", input=PARIS, **more))
    assert await cached.gateway.metric("gateway_cache_requests_total", route="default", result="bypass") == 2


# ------------------------------------------------------------------ counted, capped, routed, priced


def body(text: str = "Hello.", **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": 1_800_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5-mini",
        "output": [
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]},
        ],
        "usage": {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 400},
            "output_tokens": 500,
            "output_tokens_details": {"reasoning_tokens": 100},
            "total_tokens": 1500,
        },
        **more,
    }


def events(*values: dict[str, Any]) -> list[bytes]:
    """Named and numbered, as OpenAI sends them."""
    return [
        f"event: {value['type']}\ndata: {json.dumps({**value, 'sequence_number': number})}\n\n".encode()
        for number, value in enumerate(values)
    ]


CREATED = {"type": "response.created", "response": body(status="in_progress", output=[], usage=None)}
DELTA = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0}
COMPLETED = {"type": "response.completed", "response": body()}


async def ask(gw: RunningGateway, **fields: Any) -> Answer:
    document = {"model": "gpt-5-mini", "input": "hello", **fields}
    return await gw.request("POST", PATH, body=json.dumps(document).encode())


@pytest.mark.parametrize("is_stream", [True, False])
async def test_usage_is_priced_and_counted_by_its_kinds(is_stream: bool) -> None:
    step = Stream(events(CREATED, COMPLETED)) if is_stream else Reply.of(body())
    prices = {"gpt-5-mini": {"input": 1.0, "cached_input": 0.5, "output": 2.0}}
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url, prices=prices)) as gw:
        answer = await ask(gw, stream=is_stream)
        assert int(answer.headers["x-gateway-prompt-tokens"]) > 0
        labels = {"route": "default", "tier": "none", "model": "gpt-5-mini"}
        metrics = await gw.metrics()
        tokens = {
            kind: metrics("gateway_tokens_total", type=kind, **labels)
            for kind in ("input", "cached_input", "output", "reasoning")
        }
        assert tokens == {"input": 600, "cached_input": 400, "output": 500, "reasoning": 100}
        cost = metrics("gateway_cost_usd_total", source="computed", **labels)
        assert round(cost * 1e9) == 600 * 1000 + 400 * 500 + 500 * 2000


async def test_a_body_is_changed_in_its_cap_and_model_alone() -> None:
    sent = b'{ "model":"auto", "input" : "\\ud83d\\ude00 \\ud800", "top_p": 1.0, "max_output_tokens": 9000,"x":1e2 }'
    tokens = {"max_completion": 500}
    async with ScriptedUpstream(Reply.of(body()), Reply.of(body())) as up:
        document = config(
            up.base_url,
            tiers={"cheap": ["up/gpt-5-nano"], "expensive": ["up/gpt-5"]},
            routes=[{"name": "default", "tier": "cheap", "tokens": tokens}],
        )
        async with gateway(document) as gw:
            await gw.request("POST", PATH, body=sent)
            await gw.request("POST", PATH, body=b'{"model":"auto","input":"hi","stream":false}')
            capped, defaulted = (request.body for request in up.requests)
            assert capped == sent.replace(b'"auto"', b'"gpt-5-nano"').replace(b"9000", b"500")
            assert defaulted == b'{"model":"gpt-5-nano","input":"hi","stream":false,"max_output_tokens":500}'


async def test_a_prompt_over_the_cap_is_refused_and_its_field_named() -> None:
    routes = [{"name": "default", "upstream": "up", "tokens": {"max_prompt": 5}}]
    async with ScriptedUpstream() as up, gateway(config(up.base_url, routes=routes)) as gw:
        answer = await ask(gw, input="one two three four five six seven eight nine ten")
        assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
        assert answer.error["param"] == "input"
        assert up.requests == []


async def test_routes_may_be_for_this_endpoint_alone() -> None:
    routes = [
        {"name": "new", "upstream": "up", "match": {"endpoints": ["responses"]}},
        {"name": "old", "upstream": "up", "match": {"endpoints": ["chat", "completions"]}},
    ]
    async with ScriptedUpstream(Reply.of(body())) as up, gateway(config(up.base_url, routes=routes)) as gw:
        assert (await ask(gw)).headers["x-gateway-route"] == "new"


# ------------------------------------------------------------------ streams


async def test_every_event_passes_untouched_and_leaves_as_it_arrives() -> None:
    go_on = asyncio.Event()
    created, delta, *rest = events(CREATED, {**DELTA, "delta": "Hello."}, COMPLETED)
    async with ScriptedUpstream(Stream([created + delta, go_on, *rest])) as up, gateway(config(up.base_url)) as gw:
        document = b'{"model":"gpt-5-mini","input":"hello","stream":true}'
        async with gw.http.post(gw.url + PATH, data=document) as response:
            assert await response.content.readany() == created + delta
            go_on.set()
            assert await response.content.read() == b"".join(rest)
        assert up.requests[0].body == document


@pytest.mark.parametrize("is_cut", [True, False])
async def test_a_stream_that_breaks_off_ends_in_an_error_the_client_raises(is_cut: bool) -> None:
    step = Stream(events(CREATED, {**DELTA, "delta": "Hel"}), cut=is_cut)
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url)) as gw:
        async with client_of(f"{gw.url}/v1") as client:
            stream = await client.responses.create(model="gpt-5-mini", input="hello", stream=True)
            seen = [(await anext(stream)).type for _ in range(2)]
            assert seen == ["response.created", "response.output_text.delta"]
            with pytest.raises(openai.APIError) as caught:
                await anext(stream)
            assert caught.value.code == "upstream_cut"
        labels = {"route": "default", "endpoint": "responses", "tier": "none", "model": "gpt-5-mini", "code": "502"}
        assert await gw.metric("gateway_requests_total", **labels) == 1
        spent = {"route": "default", "tier": "none", "model": "gpt-5-mini", "source": "estimated"}
        assert await gw.metric("gateway_cost_usd_total", **spent) > 0


async def test_the_error_event_is_this_apis_own_and_numbered_on() -> None:
    before = events(CREATED, {**DELTA, "delta": "Hel"})
    async with ScriptedUpstream(Stream(before)) as up, gateway(config(up.base_url)) as gw:
        answer = await ask(gw, stream=True)
        name, data = answer.body.removeprefix(b"".join(before)).removesuffix(b"\n\n").split(b"\n")
        told = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: error"
        assert (told["type"], told["sequence_number"], told["code"]) == ("error", 2, "upstream_cut")
        assert told["error"] == {"type": "server_error", **{key: told[key] for key in ("message", "param", "code")}}
        assert b"[DONE]" not in answer.body


FAILED: dict[str, Any] = {
    "type": "response.failed",
    "response": body(status="failed", output=[], error={"code": "server_error", "message": "We failed."}),
}
UNBILLED = {**FAILED, "response": {**FAILED["response"], "usage": None}}
ERROR = {"type": "error", "code": "server_error", "message": "We failed.", "param": None}
NESTED = {"type": "error", "error": {"type": "server_error", "code": "overloaded", "message": "We failed."}}


@pytest.mark.parametrize("told", [[FAILED], [ERROR], [NESTED], [NESTED, FAILED]], ids=str)
async def test_an_error_of_the_upstreams_own_passes_and_is_no_success(told: list[dict[str, Any]]) -> None:
    sent = events(CREATED, {**DELTA, "delta": "Hel"}, *told)
    async with ScriptedUpstream(then=Stream(sent)) as up:
        document = config(up.base_url, routes=[{"name": "default", "upstream": "up", "cache": {}}])
        async with gateway(document) as gw:
            for _ in range(2):  # nothing was stored
                assert (await ask(gw, stream=True, store=False)).body == b"".join(sent)
            labels = {"route": "default", "endpoint": "responses", "tier": "none", "model": "gpt-5-mini"}
            assert await gw.metric("gateway_requests_total", code="502", **labels) == 2
            cost = {"route": "default", "tier": "none", "model": "gpt-5-mini"}
            source = "computed" if FAILED in told else "estimated"
            assert await gw.metric("gateway_cost_usd_total", source=source, **cost) > 0


@pytest.mark.parametrize("told", [UNBILLED, ERROR, NESTED], ids=lambda told: str(sorted(told)))
async def test_an_error_before_anything_else_is_a_status(told: dict[str, Any]) -> None:
    async with ScriptedUpstream(then=Stream(events(told))) as up, gateway(config(up.base_url)) as gw:
        answer = await ask(gw, stream=True)
        assert answer.status == 502
        assert "We failed." in answer.error["message"]


async def test_a_failed_response_is_passed_on_and_not_stored() -> None:
    failed = body(status="failed", output=[], error={"code": "server_error", "message": "We failed."})
    routes = [{"name": "default", "upstream": "up", "cache": {}}]
    async with ScriptedUpstream(then=Reply.of(failed)) as up, gateway(config(up.base_url, routes=routes)) as gw:
        for _ in range(2):
            assert (await ask(gw, store=False)).json() == failed
        assert len(up.requests) == 2


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_client_that_leaves_ends_the_upstream_call_and_what_was_made_is_booked(is_stream: bool) -> None:
    endless = Stream([*events(CREATED, {**DELTA, "delta": "Hello there"}), asyncio.Event()])
    async with ScriptedUpstream(endless) as up, gateway(config(up.base_url)) as gw:
        if is_stream:
            async with gw.http.post(
                gw.url + PATH, data=b'{"model":"gpt-5-mini","input":"hi","stream":true}'
            ) as response:
                while b"Hello there" not in await response.content.readany():
                    pass
                response.close()
        else:
            call = asyncio.create_task(ask(gw))
            await up.seen(1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        (seen,) = up.requests
        await _gone(seen)
        labels = {"route": "default", "tier": "none", "model": "gpt-5-mini"}
        await gw.until(lambda sample: sample("gateway_cost_usd_total", source="estimated", **labels) > 0)
        output = await gw.metric("gateway_tokens_total", type="output", **labels)
        assert output == (2 if is_stream else 0)


async def _gone(seen: Seen) -> None:
    async with asyncio.timeout(5):
        await seen.gone.wait()
