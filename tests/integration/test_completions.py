"""Legacy completions end to end: OpenAI's client sees no gateway, and a stored answer serves both forms."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.differential import Pair, both
from tests.support.gateway import Answer, RunningGateway, config, gateway
from tests.support.upstream import DONE, Reply, ScriptedUpstream, Stream, event

PATH = "/v1/completions"
MODEL = "gpt-3.5-turbo-instruct"
ASKED: dict[str, dict[str, Any]] = {
    "text": {"prompt": "Once upon a time"},
    "nothing": {"prompt": ""},
    "texts": {"prompt": ["Once", "Twice"], "n": 2, "max_tokens": 5},
    "tokens": {"prompt": [12805, 5304, 264, 892]},
    "lists of tokens": {"prompt": [[12805], [5304, 264]]},
    "log probabilities": {"prompt": "Once", "logprobs": 2, "max_tokens": 8},
    "echo": {"prompt": "Once", "echo": True, "max_tokens": 3},
    "refused": {"prompt": "Once", "temperature": 9},
    "rate limit": {"prompt": "Once", "extra_headers": {"x-simulate": "status=429"}},
}
CACHED = [name for name in ASKED if name not in ("refused", "rate limit")]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with both() as pair:
        yield pair


@pytest.fixture
async def cached() -> AsyncIterator[Pair]:
    async with both(routes=[{"name": "default", "upstream": "up", "cache": {}}]) as pair:
        yield pair


async def whole(client: AsyncOpenAI, **fields: Any) -> Any:
    return await client.completions.create(model=MODEL, **fields)


async def streamed(client: AsyncOpenAI, **fields: Any) -> list[Any]:
    return [chunk async for chunk in await client.completions.create(model=MODEL, stream=True, **fields)]


@pytest.mark.parametrize("name", ASKED)
async def test_the_client_gets_what_it_would_get_without_the_gateway(pair: Pair, name: str) -> None:
    await pair.same(lambda client: whole(client, **ASKED[name]))
    options: Any = {"stream_options": {"include_usage": True}}
    await pair.same(lambda client: streamed(client, **ASKED[name], **options))
    chunks = await pair.same(lambda client: without_null_usage(client, **ASKED[name]))
    if isinstance(chunks, list):
        assert all(chunk["choices"] for chunk in chunks)


async def without_null_usage(client: AsyncOpenAI, **fields: Any) -> list[dict[str, Any]]:
    """The gateway asks for usage where the client did not; `usage: null` in its chunks may stay."""
    chunks = [chunk.model_dump() for chunk in await streamed(client, **fields)]
    assert all(chunk.pop("usage") is None for chunk in chunks)
    return chunks


async def test_so_does_the_client_that_blocks(pair: Pair) -> None:
    def ask(client: OpenAI) -> Any:
        return client.completions.create(model=MODEL, prompt="Once")

    def stream(client: OpenAI) -> str:
        chunks = client.completions.create(model=MODEL, prompt="Once", stream=True)
        return "".join(chunk.choices[0].text for chunk in chunks)

    answer = await pair.same_in_sync(ask)
    assert await pair.same_in_sync(stream) == answer.choices[0].text


@pytest.mark.parametrize("name", CACHED)
@pytest.mark.parametrize("is_filled_by_a_stream", [True, False])
async def test_a_hit_answers_in_either_form_whichever_filled_it(
    cached: Pair, name: str, is_filled_by_a_stream: bool
) -> None:
    async def as_texts(client: AsyncOpenAI) -> Any:
        answer = await whole(client, **ASKED[name])
        return {choice.index: (choice.text, choice.finish_reason) for choice in answer.choices}, answer.usage

    async def told(client: AsyncOpenAI) -> Any:
        *chunks, last = await streamed(client, **ASKED[name], stream_options={"include_usage": True})
        texts: dict[int, tuple[str, Any]] = {}
        for (choice,) in (chunk.choices for chunk in chunks):
            text, _ = texts.get(choice.index, ("", None))
            texts[choice.index] = (text + choice.text, choice.finish_reason)
        return texts, last.usage

    first, second = (told, as_texts) if is_filled_by_a_stream else (as_texts, told)
    filled = await cached.through(first)
    assert await cached.through(second) == filled
    assert await cached.through(first) == filled
    assert await cached.gateway.metric("gateway_cache_requests_total", route="default", result="hit") == 2


@pytest.mark.parametrize("is_stream", [True, False])
async def test_log_probabilities_survive_the_cache(cached: Pair, is_stream: bool) -> None:
    fields = {"prompt": "Once", "logprobs": 2, "max_tokens": 8}
    if is_stream:
        await cached.through(lambda client: streamed(client, **fields))
    found = [await cached.through(lambda client: whole(client, **fields)) for _ in range(2)]
    direct = await cached.same(lambda client: whole(client, **fields))
    logprobs = direct.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.top_logprobs) == len(logprobs.text_offset) == 8
    assert all(answer.choices[0].logprobs == logprobs for answer in found)


# ------------------------------------------------------------------ on the wire


def chunk(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL, "choices": [choice], **more}


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CHUNKS = [chunk("Hel"), chunk("lo", "stop"), {**chunk(""), "choices": [], "usage": USAGE}]


async def ask(gw: RunningGateway, **fields: Any) -> Answer:
    return await gw.request("POST", PATH, body=json.dumps({"model": MODEL, "prompt": "Hi", **fields}).encode())


async def test_a_stream_passes_untouched_but_for_the_usage_nobody_asked_for() -> None:
    async with ScriptedUpstream(then=Stream.of(*CHUNKS)) as up, gateway(config(up.base_url)) as gw:
        assert (await ask(gw, stream=True)).body == b"".join(map(event, CHUNKS[:-1])) + DONE
        assert up.requests[0].json()["stream_options"] == {"include_usage": True}
        asked = await ask(gw, stream=True, stream_options={"include_usage": True})
        assert asked.body == b"".join(map(event, CHUNKS)) + DONE
        labels = {"route": "default", "tier": "none", "model": MODEL}
        assert await gw.metric("gateway_tokens_total", type="output", **labels) == 4


async def test_the_cap_is_set_in_this_endpoints_spelling() -> None:
    routes = [{"name": "default", "upstream": "up", "tokens": {"default_completion": 50, "max_completion": 100}}]
    answer = {**chunk("Hello", "stop"), "usage": USAGE}
    async with ScriptedUpstream(then=Reply.of(answer)) as up, gateway(config(up.base_url, routes=routes)) as gw:
        for fields in ({}, {"max_tokens": 900}, {"max_tokens": 0, "echo": True}):
            await ask(gw, **fields)
        assert [seen.json()["max_tokens"] for seen in up.requests] == [50, 100, 0]


@pytest.mark.parametrize("prompt", [["a", 3], [[1, "a"]], {"text": "a"}, []])
async def test_a_prompt_of_no_known_form_never_reaches_the_upstream(prompt: Any) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.base_url)) as gw:
        answer = await ask(gw, prompt=prompt)
        assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
        assert str(answer.error["param"]).startswith("prompt")
        assert up.requests == []


async def test_a_stream_that_breaks_off_says_so_and_is_not_done() -> None:
    async with ScriptedUpstream(Stream.of(CHUNKS[0], done=False)) as up, gateway(config(up.base_url)) as gw:
        body = (await ask(gw, stream=True)).body
        assert (
            json.loads(body.removeprefix(event(CHUNKS[0])).removeprefix(b"data: "))["error"]["code"] == "upstream_cut"
        )
        assert b"[DONE]" not in body
