"""The real `openai` client, sync and async, through the gateway, before two different model APIs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion

from gateway.simulator.app import Simulator
from tests.support.fakellm_server import fakellm
from tests.support.gateway import config, gateway

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
HELLO: Any = [{"role": "user", "content": "Tell me about Paris."}]
TOOLS: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
JSON_MODE: Any = [{"role": "user", "content": "Give the city as JSON."}]


@pytest.fixture(scope="module")
def fakellm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fakellm(tmp_path_factory.mktemp("fakellm")) as url:
        yield url


@pytest.fixture(params=["simulator", "fakellm"])
async def model_api(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "simulator":
        async with Simulator() as simulator:
            yield simulator.base_url
    else:
        yield request.getfixturevalue("fakellm_url")


@pytest.fixture
async def base_url(model_api: str) -> AsyncIterator[str]:
    async with gateway(config(model_api)) as gw:
        yield f"{gw.url}/v1"


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=base_url, api_key="sk-anything", max_retries=0) as client:
        yield client


def in_thread(base_url: str, work: Callable[[OpenAI], Any]) -> Any:
    """Run `work` with the sync client beside the loop that the gateway runs in."""

    def run() -> Any:
        with OpenAI(base_url=base_url, api_key="sk-anything", max_retries=0) as client:
            return work(client)

    return asyncio.to_thread(run)


async def test_async_plain(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-5-mini", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0


async def test_async_stream(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="gpt-5-mini", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    plain = await client.chat.completions.create(model="gpt-5-mini", messages=HELLO)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == plain.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_sync_plain_and_stream(base_url: str) -> None:
    def plain(client: OpenAI) -> ChatCompletion:
        return client.chat.completions.create(model="gpt-5-mini", messages=HELLO)

    def streamed(client: OpenAI) -> str:
        stream = client.chat.completions.create(model="gpt-5-mini", messages=HELLO, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    answer = await in_thread(base_url, plain)
    assert await in_thread(base_url, streamed) == answer.choices[0].message.content


@pytest.mark.parametrize("stream", [True, False])
async def test_tools(client: AsyncOpenAI, stream: bool) -> None:
    if stream:
        async with client.chat.completions.stream(model="gpt-5-mini", messages=TOOLS, tools=[WEATHER]) as events:
            answer: Any = await events.get_final_completion()
    else:
        answer = await client.chat.completions.create(model="gpt-5-mini", messages=TOOLS, tools=[WEATHER])
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_json_mode(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-5-mini", messages=JSON_MODE, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


async def test_an_error_is_the_clients_own_exception(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="gpt-5-mini", messages=[])
    assert caught.value.param == "messages"
    with pytest.raises(openai.APIStatusError) as rate_limited:
        await client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "user", "content": "overload"}],
            extra_headers={"x-simulate": "status=429"},
        )
    assert rate_limited.value.status_code == 429


async def test_usage_of_a_stream_is_there_when_asked_for(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-5-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    reported = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert len(reported) <= 1  # fakellm never reports any
    if chunks[0].system_fingerprint == "fp_simulated":
        assert reported[0].completion_tokens > 0
