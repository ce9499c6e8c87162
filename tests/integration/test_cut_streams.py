"""Streams that break off on a route that wants them taken up: what the client, the upstreams and the books see."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import openai
import pytest

from tests.support.gateway import ADMIN_KEY, CHAT, HELLO, RunningGateway, config, gateway
from tests.support.upstream import DONE, Reply, ScriptedUpstream, Step, Stream, chat_body, chat_chunks, event, usage

OVERLOADED = {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}}
ROLE, HEL, LO, STOP = chat_chunks("Hel", "lo")
BEGUN = [event(ROLE), event(HEL), event(LO)]
THERE = [{**chunk, "id": "chatcmpl-other", "created": 7} for chunk in chat_chunks(" there", usage=usage(12, 1))]
REST = Stream.of(*THERE)
PRICES = {"small": {"input": 1, "output": 10}, "large": {"input": 2, "output": 20}}


class Pair(NamedTuple):
    gw: RunningGateway
    first: ScriptedUpstream
    second: ScriptedUpstream


@asynccontextmanager
async def two(first: Step, second: Step, /, on_cut: str = "continue", **sections: Any) -> AsyncIterator[Pair]:
    """A gateway whose one route has the targets `first/small` and `second/large`."""
    one, other = ScriptedUpstream(first), ScriptedUpstream(second)
    async with one, other:
        settings = {"idle_timeout_s": 0.3, **sections.pop("upstream", {})}
        document = config(
            "",
            upstreams={name: {"base_url": up.base_url, **settings} for name, up in (("first", one), ("second", other))},
            tiers={"cheap": ["first/small", "second/large"]},
            routes=[{"name": "default", "tier": "cheap", "on_cut": on_cut, **sections.pop("route", {})}],
            prices=PRICES,
            **sections,
        )
        document["server"]["admin"]["key"] = ADMIN_KEY
        async with gateway(document) as gw:
            yield Pair(gw, one, other)


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    lines = [line for line in body.decode().split("\n\n") if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def text_of(body: bytes) -> str:
    choices = [choice for chunk in chunks_of(body) for choice in chunk.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def outcomes(gw: RunningGateway) -> dict[str, float]:
    samples = (await gw.metrics()).samples.items()
    return {dict(labels)["outcome"]: value for (name, labels), value in samples if name == RESUMED}


RESUMED = "gateway_resumed_streams_total"
BREAKS: dict[str, Step] = {
    "cut": Stream(BEGUN, cut=True),
    "cut within an event": Stream([*BEGUN, b'data: {"id":'], cut=True),
    "ended": Stream(BEGUN),
    "an error": Stream([*BEGUN, event(OVERLOADED)]),
    "an error in the same write": Stream([b"".join([*BEGUN, event(OVERLOADED), DONE])]),
    "silence": Stream([*BEGUN, asyncio.Event()]),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
async def test_a_stream_that_breaks_off_goes_on_with_the_next_targets_events(broken: Step) -> None:
    if broken is BREAKS["silence"]:
        broken = Stream([*BEGUN, asyncio.Event()])  # an event belongs to the loop that first waits for it
    async with two(broken, REST) as pair:
        answer = await pair.gw.chat(stream=True, stream_options={"include_usage": True}, stop=["\n"])
        assert answer.status == 200
        assert text_of(answer.body) == "Hello there"
        assert answer.body.endswith(DONE)
        assert b"overloaded" not in answer.body
        assert b": gateway: the stream was cut here and continued by second/large\n\n" in answer.body
        chunks = chunks_of(answer.body)
        assert {(chunk["id"], chunk["created"]) for chunk in chunks} == {("chatcmpl-scripted", 1_800_000_000)}
        assert [chunk["x_gateway"] for chunk in chunks if "x_gateway" in chunk] == [{"continued": "second/large"}]
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        assert [choice["delta"]["role"] for choice in choices if "role" in choice["delta"]] == ["assistant"]
        asked = pair.second.requests[0].json()
        assert asked["messages"] == [*HELLO, {"role": "assistant", "content": "Hello"}]
        assert (asked["model"], asked["stop"]) == ("large", ["\n"])
        assert await outcomes(pair.gw) == {"continued": 1}
        assert len(pair.first.requests) == 1


async def test_the_openai_client_reads_one_answer() -> None:
    async with two(BREAKS["cut"], REST) as pair:
        client = openai.AsyncOpenAI(base_url=f"{pair.gw.url}/v1", api_key="sk-any", max_retries=0)
        asked: Any = {"model": "m", "messages": HELLO, "stream_options": {"include_usage": True}}
        async with client, client.chat.completions.stream(**asked) as stream:
            answer = await stream.get_final_completion()
        assert answer.id == "chatcmpl-scripted"
        assert (answer.choices[0].message.role, answer.choices[0].message.content) == ("assistant", "Hello there")
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        # the prompt of 8 and 1 token for "Hello", which nobody reported, and what the second call reported
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (8 + 12, 1 + 1)


async def test_both_calls_are_booked_each_at_its_price() -> None:
    async with two(BREAKS["cut"], REST) as pair:
        await pair.gw.chat(stream=True)
        labels = {"route": "default", "tier": "cheap", "model": "small"}
        scrape = await pair.gw.metrics()
        assert scrape("gateway_tokens_total", **labels, type="input") == 8 + 12
        assert scrape("gateway_tokens_total", **labels, type="output") == 1 + 1
        cost = (8 * 1 + 1 * 10 + 12 * 2 + 1 * 20) / 1e6
        assert scrape("gateway_cost_usd_total", **labels, source="estimated") == pytest.approx(cost)
        assert scrape("gateway_upstream_attempts_total", upstream="first", outcome="cut") == 1
        assert scrape("gateway_upstream_attempts_total", upstream="second", outcome="ok") == 1
        code = {"endpoint": "chat", "code": "200"}
        assert scrape("gateway_requests_total", **labels, **code) == 1


async def test_what_nobody_reports_is_counted_for_both_calls() -> None:
    async with two(BREAKS["cut"], Stream.of(*chat_chunks(" there"))) as pair:
        await pair.gw.chat(stream=True)
        labels = {"route": "default", "tier": "cheap", "model": "small"}
        scrape = await pair.gw.metrics()
        assert scrape("gateway_tokens_total", **labels, type="input") == 8 + 13  # and the role and text of a message
        assert scrape("gateway_tokens_total", **labels, type="output") == 1 + 1


NOT_TEXT: list[dict[str, Any]] = [
    {"n": 2},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    {"logprobs": True},
    {"response_format": {"type": "json_object"}},
    {"modalities": ["text", "audio"]},
]


@pytest.mark.parametrize("fields", NOT_TEXT, ids=str)
async def test_what_is_not_plain_text_is_not_continued(fields: dict[str, Any]) -> None:
    async with two(BREAKS["cut"], REST) as pair:
        answer = await pair.gw.chat(stream=True, **fields)
        assert chunks_of(answer.body)[-1]["error"]["code"] == "upstream_cut"
        assert text_of(answer.body) == "Hello"
        assert DONE not in answer.body
        assert pair.second.requests == []
        assert await outcomes(pair.gw) == {"failed": 1}


@pytest.mark.parametrize(
    "delta", [{"reasoning_content": "Hm"}, {"tool_calls": [{"index": 0}]}, {"refusal": "No"}], ids=str
)
async def test_an_answer_that_holds_more_than_text_is_not_continued(delta: dict[str, Any]) -> None:
    odd = {**HEL, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    async with two(Stream([event(odd), event(HEL)], cut=True), REST) as pair:
        assert b"upstream_cut" in (await pair.gw.chat(stream=True)).body
        assert pair.second.requests == []


@pytest.mark.parametrize("on_cut", ["restart", "continue"])
async def test_while_nothing_of_the_answer_was_sent_all_is_asked_for_again(on_cut: str) -> None:
    go_on = asyncio.Event()
    first = Stream([event(ROLE), go_on], cut=True)
    async with two(first, REST, on_cut=on_cut, upstream={"hold_s": 0, "idle_timeout_s": 9}) as pair:
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        asking = asyncio.create_task(pair.gw.chat(stream=True, tools=tools))
        await pair.first.seen(1)
        await pair.gw.until(lambda scrape: scrape("gateway_upstream_in_flight", upstream="first") == 1)
        go_on.set()
        answer = await asking
        assert text_of(answer.body) == " there"
        if b"x_gateway" in answer.body:  # else the cut came before the announcement had left
            assert b": gateway: the stream was cut here and restarted by second/large\n\n" in answer.body
            assert await outcomes(pair.gw) == {"restarted": 1}
        assert pair.second.requests[0].json()["messages"] == HELLO


@pytest.mark.parametrize("on_cut", ["error", "restart"])
async def test_a_stream_is_continued_only_where_the_route_says_so(on_cut: str) -> None:
    async with two(BREAKS["cut"], REST, on_cut=on_cut) as pair:
        body = (await pair.gw.chat(stream=True)).body
        assert (text_of(body), chunks_of(body)[-1]["error"]["code"]) == ("Hello", "upstream_cut")
        assert pair.second.requests == []
        assert await outcomes(pair.gw) == ({} if on_cut == "error" else {"failed": 1})


REFUSALS: dict[str, Step] = {
    "a status": Reply.of(OVERLOADED, 500),
    "a refusal": Reply.of(OVERLOADED, 400),
    "an answer that is no stream": Reply.of({"choices": []}),
    "a stream that breaks before its answer": Stream([event(THERE[0])], cut=True),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_where_nobody_goes_on_the_client_is_told_of_the_cut(refusal: Step) -> None:
    async with two(BREAKS["cut"], refusal) as pair:
        body = (await pair.gw.chat(stream=True)).body
        assert (text_of(body), chunks_of(body)[-1]["error"]["code"]) == ("Hello", "upstream_cut")
        assert DONE not in body
        assert (len(pair.first.requests), len(pair.second.requests)) == (1, 1)
        assert await outcomes(pair.gw) == {"failed": 1}
        labels = {"route": "default", "tier": "cheap", "model": "small"}
        scrape = await pair.gw.metrics()
        assert scrape("gateway_requests_total", **labels, endpoint="chat", code="502") == 1
        assert scrape("gateway_tokens_total", **labels, type="output") == 1


async def test_the_upstreams_own_error_is_what_is_told_where_nobody_goes_on() -> None:
    async with two(BREAKS["an error"], REFUSALS["a status"]) as pair:
        body = (await pair.gw.chat(stream=True)).body
        assert body == b"".join([*BEGUN, event(OVERLOADED)])


async def test_a_whole_answer_continues_nothing_and_is_booked() -> None:
    whole = Reply.of(chat_body("there", usage=usage(12, 5)))
    async with two(BREAKS["cut"], whole) as pair:
        answer = await pair.gw.chat(stream=True)
        assert (text_of(answer.body), DONE in answer.body) == ("Hello", False)
        labels = {"route": "default", "tier": "cheap", "model": "small"}
        scrape = await pair.gw.metrics()
        assert scrape("gateway_tokens_total", **labels, type="input") == 8 + 12
        assert scrape("gateway_tokens_total", **labels, type="output") == 1 + 5


async def test_a_stream_is_continued_once() -> None:
    again = Stream([event(chunk) for chunk in THERE[:2]], cut=True)
    async with two(BREAKS["cut"], again, upstream={"retries": {"attempts": 5}}) as pair:
        body = (await pair.gw.chat(stream=True)).body
        assert (text_of(body), chunks_of(body)[-1]["error"]["code"]) == ("Hello there", "upstream_cut")
        assert (len(pair.first.requests), len(pair.second.requests)) == (1, 1)
        scrape = await pair.gw.metrics()
        assert scrape("gateway_upstream_attempts_total", upstream="second", outcome="cut") == 1
        assert await outcomes(pair.gw) == {"continued": 1}


async def test_a_continuation_is_one_of_the_tries_a_request_has() -> None:
    async with two(BREAKS["cut"], REST, upstream={"retries": {"attempts": 1}}) as pair:
        assert b"upstream_cut" in (await pair.gw.chat(stream=True)).body
        assert pair.second.requests == []


async def test_the_completion_limit_holds_for_both_parts_together() -> None:
    async with two(BREAKS["cut"], REST) as pair:
        await pair.gw.chat(stream=True, max_tokens=30, max_completion_tokens=20)
        asked = pair.second.requests[0].json()
        assert (asked["max_tokens"], asked["max_completion_tokens"]) == (29, 19)


async def test_no_more_is_asked_for_where_the_completion_limit_is_reached() -> None:
    async with two(BREAKS["cut"], REST) as pair:
        assert b"upstream_cut" in (await pair.gw.chat(stream=True, max_tokens=1)).body
        assert pair.second.requests == []


WORST_USD = (8 * 2 + 20 * 20) / 1e6  # of the first call, at the dearest target
SECOND_USD = (13 * 2 + 19 * 20) / 1e6


@pytest.mark.parametrize(("usd", "goes_on"), [(WORST_USD + 1e-6, False), (WORST_USD + SECOND_USD, True)])
async def test_a_continuation_is_reserved_like_any_call(usd: float, goes_on: bool) -> None:
    budget = {"usd": usd, "per": "total"}
    async with two(BREAKS["cut"], REST, route={"budgets": [budget], "limits": {"concurrent": 1}}) as pair:
        body = (await pair.gw.chat(stream=True, max_tokens=20)).body
        assert text_of(body) == ("Hello there" if goes_on else "Hello")
        spent = (8 * 1 + 1 * 10 + (12 * 2 + 1 * 20 if goes_on else 0)) / 1e6

        async def state() -> dict[str, Any]:
            [found] = (await pair.gw.admin("GET", "/admin/budgets")).json()["budgets"]
            return dict(found)

        async with asyncio.timeout(5):
            while (found := await state())["reserved"]:
                pass
        assert found["spent"] == pytest.approx(spent)


async def test_a_continued_answer_is_not_stored() -> None:
    first, rest = BREAKS["cut"], REST
    async with two(first, rest, route={"cache": {"ttl_s": 60, "share": "everyone"}}) as pair:
        assert text_of((await pair.gw.chat(stream=True)).body) == "Hello there"
        second = await pair.gw.chat(stream=True)
        assert "hit" not in second.headers["Cache-Status"]


async def test_who_reads_along_reads_the_continuation_too() -> None:
    go_on = asyncio.Event()
    first = Stream([*BEGUN, go_on], cut=True)
    cache = {"ttl_s": 60, "share": "everyone"}
    async with two(first, REST, route={"cache": cache}, upstream={"idle_timeout_s": 9}) as pair:
        asking = [asyncio.create_task(pair.gw.chat(stream=True)) for _ in range(3)]
        await pair.first.seen(1)
        await pair.gw.until(lambda scrape: scrape("gateway_in_flight_requests") == 3)
        go_on.set()
        assert [text_of(answer.body) for answer in await asyncio.gather(*asking)] == ["Hello there"] * 3
        assert len(pair.second.requests) == 1


async def test_a_client_that_leaves_while_somebody_is_sought_ends_the_search_and_pays_for_what_was_sent() -> None:
    async with two(BREAKS["cut"], Stream([b": wait\n\n", asyncio.Event()]), upstream={"idle_timeout_s": 9}) as pair:
        asking = asyncio.create_task(pair.gw.chat(stream=True))
        await pair.second.seen(1)
        asking.cancel()
        await asyncio.wait_for(pair.second.requests[0].gone.wait(), 5)
        labels = {"route": "default", "tier": "cheap", "model": "small"}
        await pair.gw.until(lambda scrape: scrape("gateway_requests_total", **labels, endpoint="chat", code="499") == 1)
        scrape = await pair.gw.metrics()
        assert scrape("gateway_tokens_total", **labels, type="input") == 8 + 13
        assert scrape("gateway_upstream_attempts_total", upstream="second", outcome="cancelled") == 1
        assert scrape("gateway_in_flight_requests") == 0


async def test_while_somebody_is_sought_pings_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.continued.PING_S", 0.05)
    go_on = asyncio.Event()
    rest = Stream([go_on, *map(event, THERE), DONE])
    async with two(BREAKS["cut"], rest, upstream={"idle_timeout_s": 9}) as pair:
        document = json.dumps({"model": "m", "messages": HELLO, "stream": True})
        async with pair.gw.http.post(pair.gw.url + CHAT, data=document) as response:
            got = b""
            while got.count(b": ping\n\n") < 2:
                got += await response.content.readany()
            go_on.set()
            assert text_of(got + await response.content.read()) == "Hello there"
