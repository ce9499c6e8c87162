"""The simulator under the real OpenAI client and over bare HTTP."""

import asyncio
import base64
import json
import time
from array import array
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
import openai
import pytest
import tiktoken
from openai import AsyncOpenAI
from pydantic import BaseModel

from gateway.simulator import Simulator
from gateway.tokens.encodings import SHAPES, Encodings, read_ranks

MODEL = "gpt-4o-mini"
SKY = [{"role": "user", "content": "Why is the sky blue over Lisbon?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def encodings() -> Encodings:
    made = Encodings()
    made.load_here()
    return made


@pytest.fixture(scope="module")
def o200k() -> tiktoken.Encoding:
    shape = SHAPES["o200k_base"]
    ranks = read_ranks("o200k_base")
    return tiktoken.Encoding("o", pat_str=shape.pattern, mergeable_ranks=ranks, special_tokens=shape.special_tokens)


@pytest.fixture
async def simulator(encodings: Encodings) -> AsyncIterator[Simulator]:
    async with Simulator(encodings=encodings) as simulator:
        yield simulator


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"{simulator.base_url}/") as session:
        yield session


def chat(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": SKY, **more}


async def events_of(reply: aiohttp.ClientResponse) -> list[bytes]:
    return [block for block in (await reply.read()).split(b"\n\n") if block]


# ------------------------------------------------------------------ chat


async def test_an_answer_is_labelled_and_its_usage_true(client: AsyncOpenAI, o200k: tiktoken.Encoding) -> None:
    raw = await client.chat.completions.with_raw_response.create(**chat())
    answer = raw.parse()
    assert raw.headers["x-simulated"] == "true"
    assert answer.system_fingerprint == "fp_simulated"
    (choice,) = answer.choices
    assert choice.message.content is not None
    assert choice.message.content.startswith("[simulated] ")
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    # 3 tokens a message, 3 for the reply, "user", and the text: OpenAI cookbook, "How to count tokens".
    assert answer.usage.prompt_tokens == 3 + 3 + 1 + len(o200k.encode("Why is the sky blue over Lisbon?"))
    assert answer.usage.completion_tokens == len(o200k.encode(choice.message.content))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_the_same_prompt_gets_the_same_answer_streamed_or_not(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(**chat())
    stream = await client.chat.completions.create(**chat(), stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    other = await client.chat.completions.create(**chat(seed=1))
    assert other.choices[0].message.content != whole.choices[0].message.content


async def test_a_stream_is_spelled_as_openai_does(http: aiohttp.ClientSession) -> None:
    body = chat(stream=True, max_tokens=2, stream_options={"include_usage": True})
    async with http.post("chat/completions", json=body) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        *events, done = await events_of(reply)
    assert done == b"data: [DONE]"
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk["choices"] for chunk in chunks] == [
        [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "", "refusal": None},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        [{"index": 0, "delta": {"content": "["}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "sim"}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}],
        [],
    ]
    assert [chunk["usage"] is None for chunk in chunks] == [True, True, True, True, False]


async def test_without_include_usage_no_chunk_has_any(http: aiohttp.ClientSession) -> None:
    async with http.post("chat/completions", json=chat(stream=True)) as reply:
        assert b"usage" not in await reply.read()


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_the_limit_is_kept_to_the_token(client: AsyncOpenAI, field: str) -> None:
    answer = await client.chat.completions.create(**chat(**{field: 7}))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7


async def test_n_choices_differ_and_all_are_counted(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**chat(n=3, max_tokens=20))
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 60


async def test_a_stop_sequence_ends_the_answer(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**chat(stop=["]"]))
    assert answer.choices[0].message.content == "[simulated"
    assert answer.choices[0].finish_reason == "stop"


async def test_logprobs_stand_beside_every_token(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**chat(logprobs=True, top_logprobs=2, max_tokens=4))
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(entry.token for entry in logprobs.content) == answer.choices[0].message.content
    assert [len(entry.top_logprobs) for entry in logprobs.content] == [2, 2, 2, 2]


# ------------------------------------------------------------------ tools and JSON


async def test_a_tool_is_called_and_its_result_answered(client: AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Rome?"}]
    first = await client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    (choice,) = first.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert arguments["city"] == "Rome"
    assert arguments["unit"] in ("C", "F")
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = await client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    assert second.choices[0].finish_reason == "stop"


async def test_a_streamed_tool_call_is_the_whole_one_in_pieces(client: AsyncOpenAI) -> None:
    body: dict[str, Any] = {"model": MODEL, "messages": SKY, "tools": [WEATHER]}
    whole = (await client.chat.completions.create(**body)).choices[0].message.tool_calls
    async with client.chat.completions.stream(**body) as stream:
        streamed = (await stream.get_final_completion()).choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert whole is not None
    assert streamed.message.tool_calls is not None
    assert whole[0].type == "function"
    assert streamed.message.tool_calls[0].function.arguments == whole[0].function.arguments
    assert streamed.message.tool_calls[0].id == whole[0].id


class Trip(BaseModel):
    city: str
    nights: int
    notes: list[str]


async def test_a_schema_is_kept(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(model=MODEL, messages=SKY, response_format=Trip)  # type: ignore[arg-type]
    trip = answer.choices[0].message.parsed
    assert trip is not None
    assert trip.city == "Lisbon"
    assert all(note.startswith("[simulated] ") for note in trip.notes)


async def test_json_mode_answers_with_an_object_that_says_it_is_simulated(client: AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "Reply in JSON: why is the sky blue?"}]
    answer = await client.chat.completions.create(
        model=MODEL, messages=messages, response_format={"type": "json_object"}
    )
    assert json.loads(answer.choices[0].message.content or "")["simulated"] is True


async def test_a_schema_without_an_instance_is_a_400(client: AsyncOpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}}
    with pytest.raises(openai.BadRequestError, match="Invalid schema for response_format: it nests without end"):
        await client.chat.completions.create(**chat(response_format=form))


# ------------------------------------------------------------------ the other endpoints


async def test_completions_answer_every_prompt(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["Say hi", "Say ho"], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert all(choice.text.startswith("[simulated]") for choice in answer.choices)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 64)


async def test_a_streamed_completion_is_the_whole_one(client: AsyncOpenAI) -> None:
    whole = await client.completions.create(model=MODEL, prompt="Say hi", echo=True)
    stream = await client.completions.create(model=MODEL, prompt="Say hi", echo=True, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert whole.choices[0].text.startswith("Say hi[simulated]")
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_embeddings_are_unit_vectors_nearer_for_texts_that_share_words(client: AsyncOpenAI) -> None:
    texts = ["cats and dogs", "dogs and cats sleep", "quantum field theory"]
    answer = await client.embeddings.create(model="text-embedding-3-small", input=texts)
    cats, dogs, quantum = (item.embedding for item in answer.data)
    assert len(cats) == 1536

    def dot(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert dot(cats, cats) == pytest.approx(1, abs=1e-5)
    assert dot(cats, dogs) > 0.5 > dot(cats, quantum)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 11


async def test_base64_and_shorter_embeddings_hold_the_same_numbers(http: aiohttp.ClientSession) -> None:
    body = {"model": "text-embedding-3-large", "input": "a cat", "dimensions": 8}
    async with http.post("embeddings", json=body) as plain:
        floats = (await plain.json())["data"][0]["embedding"]
    async with http.post("embeddings", json={**body, "encoding_format": "base64"}) as encoded:
        packed = array("f", base64.b64decode((await encoded.json())["data"][0]["embedding"]))
    assert list(packed) == pytest.approx(floats, rel=1e-6)
    assert len(floats) == 8


async def test_an_embedding_input_that_is_too_long_is_a_400(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="maximum context length is 8192 tokens"):
        await client.embeddings.create(model="text-embedding-3-small", input=[1] * 8193)


async def test_responses_answer_and_count(client: AsyncOpenAI, o200k: tiktoken.Encoding) -> None:
    answer = await client.responses.create(model=MODEL, input="Why is the sky blue over Lisbon?")
    assert answer.status == "completed"
    assert answer.output_text.startswith("[simulated] ")
    assert answer.usage is not None
    assert answer.usage.input_tokens == 3 + 3 + 1 + len(o200k.encode("Why is the sky blue over Lisbon?"))
    assert answer.usage.output_tokens == len(o200k.encode(answer.output_text))


async def test_a_response_that_reaches_its_limit_is_incomplete(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(model=MODEL, input="Hello", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 16


async def test_a_streamed_response_is_numbered_and_ends_with_the_whole(http: aiohttp.ClientSession) -> None:
    async with http.post("responses", json={"model": MODEL, "input": "Hello", "stream": True}) as reply:
        events = await events_of(reply)
    kinds, bodies = zip(*(event.split(b"\n", 1) for event in events), strict=True)
    values = [json.loads(body.removeprefix(b"data: ")) for body in bodies]
    assert [value["sequence_number"] for value in values] == list(range(len(events)))
    assert [kind.decode() for kind in kinds] == [f"event: {value['type']}" for value in values]
    assert [value["type"] for value in values if value["type"] != "response.output_text.delta"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(value["delta"] for value in values if value["type"] == "response.output_text.delta")
    assert values[-1]["response"]["output"][0]["content"][0]["text"] == text


async def test_responses_call_tools(client: AsyncOpenAI) -> None:
    tool: dict[str, Any] = {"type": "function", "strict": True, **WEATHER["function"]}  # type: ignore[dict-item]
    async with client.responses.stream(model=MODEL, input="Weather in Rome?", tools=[tool]) as stream:  # type: ignore[list-item]
        final = await stream.get_final_response()
    (item,) = final.output
    assert item.type == "function_call"
    assert (item.name, json.loads(item.arguments)["city"]) == ("get_weather", "Rome")


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert MODEL in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve(MODEL)).owned_by == "simulator"
    with pytest.raises(openai.NotFoundError, match="The model 'gpt-1' does not exist"):
        await client.models.retrieve("gpt-1")


# ------------------------------------------------------------------ errors and faults


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "chat/completions", b"{", 400, "We could not parse the JSON body of your request."),
        ("POST", "chat/completions", b"{}", 400, "you must provide a model parameter"),
        ("POST", "nowhere", b"{}", 404, "Invalid URL (POST /v1/nowhere)"),
        ("GET", "chat/completions", b"", 405, "Not allowed to GET on /v1/chat/completions."),
        ("POST", "chat/completions", BytesIO(bytes(33 << 20)), 413, "The request body is larger than"),
    ],
)
async def test_errors_are_openais_and_labelled(
    http: aiohttp.ClientSession, method: str, path: str, body: bytes | BytesIO, status: int, message: str
) -> None:
    async with http.request(method, path, data=body) as reply:
        assert reply.status == status
        assert reply.headers["x-simulated"] == "true"
        error = (await reply.json())["error"]
    assert error["message"].startswith(message)
    assert error.keys() == {"message", "type", "param", "code"}


async def test_a_key_is_asked_for_where_one_is_set(encodings: Encodings) -> None:
    async with Simulator(key="sk-right", encodings=encodings) as simulator:
        for key, works in (("sk-right", True), ("sk-wrong", False)):
            async with AsyncOpenAI(base_url=simulator.base_url, api_key=key, max_retries=0) as client:
                if works:
                    await client.models.list()
                else:
                    with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
                        await client.models.list()


async def test_a_status_is_simulated_by_header_or_by_metadata(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as by_header:
        await client.chat.completions.create(**chat(), extra_headers={"x-simulate": "status=429;retry-after=7"})
    assert by_header.value.response.headers["Retry-After"] == "7"
    with pytest.raises(openai.InternalServerError, match="overloaded"):
        await client.chat.completions.create(**chat(metadata={"simulate": "status=503"}))


async def test_a_stream_is_cut_after_as_many_events_as_asked(http: aiohttp.ClientSession) -> None:
    async with http.post("chat/completions", json=chat(stream=True), headers={"x-simulate": "cut=3"}) as reply:
        for _ in range(3):
            assert (await reply.content.readuntil(b"\n\n")).startswith(b"data: ")
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.content.readany()


async def test_an_error_event_ends_a_stream_without_done(http: aiohttp.ClientSession) -> None:
    async with http.post("chat/completions", json=chat(stream=True), headers={"x-simulate": "error=1"}) as reply:
        events = await events_of(reply)
    assert len(events) == 2
    assert json.loads(events[-1].removeprefix(b"data: "))["error"]["type"] == "server_error"


async def test_a_whole_answer_is_cut_in_the_middle(http: aiohttp.ClientSession) -> None:
    async with http.post("chat/completions", json=chat(), headers={"x-simulate": "cut=0"}) as reply:
        assert reply.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_a_reset_gives_no_answer(http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.post("chat/completions", json=chat(), headers={"x-simulate": "reset"})


async def test_a_stall_says_nothing_more_until_the_client_leaves(http: aiohttp.ClientSession) -> None:
    async with http.post("chat/completions", json=chat(stream=True), headers={"x-simulate": "stall=1"}) as reply:
        await reply.content.readuntil(b"\n\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reply.content.readany(), 0.05)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_usage_is_reported_as_asked(http: aiohttp.ClientSession, is_stream: bool) -> None:
    body = chat(stream=True, stream_options={"include_usage": True}) if is_stream else chat()
    async with http.post("chat/completions", json=body, headers={"x-simulate": "no-usage"}) as reply:
        assert b"usage" not in await reply.read()
    async with http.post("chat/completions", json=body, headers={"x-simulate": "cached=5;reasoning=64"}) as reply:
        text = await reply.text()
    assert '"cached_tokens":5' in text
    assert '"reasoning_tokens":64' in text


async def test_reasoning_may_use_up_the_limit(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**chat(max_tokens=10, metadata={"simulate": "reasoning=64"}))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("", "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 10


async def test_an_answer_is_as_long_as_asked(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**chat(metadata={"simulate": "tokens=500"}))
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (500, "stop")


# ------------------------------------------------------------------ pace and memory


async def test_answers_take_the_time_of_their_tokens(encodings: Encodings) -> None:
    async with (
        Simulator(tokens_per_second=200, first_token_ms=50, encodings=encodings) as simulator,
        AsyncOpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as client,
    ):
        began = time.perf_counter()
        await client.chat.completions.create(**chat(max_tokens=20))
        assert time.perf_counter() - began >= 0.05 + 20 / 200
        began = time.perf_counter()
        async with client.chat.completions.stream(**chat(max_tokens=20)) as stream:
            await stream.until_done()
        assert time.perf_counter() - began >= 0.05 + 20 / 200


async def test_the_bodies_it_saw_are_kept_in_bounds(encodings: Encodings) -> None:
    async with (
        Simulator(keep_calls=2, encodings=encodings) as simulator,
        AsyncOpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as client,
    ):
        for seed in (1, 2, 3):
            await client.chat.completions.create(**chat(seed=seed))
        assert [call["seed"] for call in simulator.calls] == [2, 3]


async def test_it_does_not_wait_for_a_stalled_stream_to_stop(encodings: Encodings) -> None:
    async with aiohttp.ClientSession() as http:
        async with Simulator(encodings=encodings) as simulator:
            url = f"{simulator.base_url}/chat/completions"
            reply = await http.post(url, json=chat(stream=True), headers={"x-simulate": "stall=0"})
            began = time.perf_counter()
        assert time.perf_counter() - began < 5
        reply.close()
