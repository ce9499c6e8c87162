"""Upstreams on a bad day: who is asked next, and what the client is told when nobody is left."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from tests.support.gateway import CHAT, HELLO, Answer, RunningGateway, config, gateway
from tests.support.upstream import (
    DONE,
    Raw,
    Reply,
    Reset,
    ScriptedUpstream,
    Stall,
    Step,
    Stream,
    chat_body,
    chat_chunks,
    event,
    usage,
)

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))
STREAM = Stream.of(*chat_chunks("Hel", "lo", usage=usage(8, 2)))
OVERLOADED = {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}}
FAILURES: dict[str, Step] = {
    "reset": Reset(),
    "500": Reply.of(OVERLOADED, 500),
    "503": Reply.of(OVERLOADED, 503, [("Retry-After", "30")]),
    "429": Reply.of(OVERLOADED, 429, [("Retry-After", "30")]),
    "no HTTP": Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "cut": Raw(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"id":'),
    "an error that calls itself an answer": Reply.of(OVERLOADED),
}


class Pair(NamedTuple):
    gw: RunningGateway
    first: ScriptedUpstream
    second: ScriptedUpstream


@asynccontextmanager
async def two(first: ScriptedUpstream, second: ScriptedUpstream, **settings: Any) -> AsyncIterator[Pair]:
    """A gateway whose tier has two targets, `first/gpt-5-nano` and `second/gpt-5-mini`."""
    async with first, second, gateway(configured(first, second, **settings)) as gw:
        yield Pair(gw, first, second)


def configured(first: ScriptedUpstream, second: ScriptedUpstream, **settings: Any) -> dict[str, Any]:
    upstreams = {name: {"base_url": up.base_url, **settings} for name, up in (("first", first), ("second", second))}
    tiers = {"cheap": ["first/gpt-5-nano", "second/gpt-5-mini"]}
    routes = [{"name": "default", "tier": "cheap"}]
    document = config("", upstreams=upstreams, tiers=tiers, routes=routes)
    document["server"]["admin"]["key"] = "operators-secret"
    return document


def one(up: ScriptedUpstream, **settings: Any) -> dict[str, Any]:
    retries = {"backoff_s": 0.01, **settings.pop("retries", {})}
    return config("", upstreams={"up": {"base_url": up.base_url, "retries": retries, **settings}})


async def tries(gw: RunningGateway, upstream: str) -> dict[str, float]:
    """Outcome → attempts."""
    samples = (await gw.metrics()).samples.items()
    found = [(dict(labels), value) for (name, labels), value in samples if name == "gateway_upstream_attempts_total"]
    return {labels["outcome"]: value for labels, value in found if labels["upstream"] == upstream}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_the_tiers_next_target_answers_where_one_fails(failure: Step) -> None:
    async with two(ScriptedUpstream(failure), ScriptedUpstream(ANSWER)) as pair:
        answer = await pair.gw.chat()
        assert (answer.status, answer.headers["x-gateway-model"]) == (200, "second/gpt-5-mini")
        assert pair.second.requests[0].json()["model"] == "gpt-5-mini"
        assert (len(pair.first.requests), len(pair.second.requests)) == (1, 1)
        assert await tries(pair.gw, "second") == {"ok": 1}


DRESSED = Stream([event(OVERLOADED)])
NO_EVENT = Stream([b": hold on\n\n"])
CUT_EARLY = Stream([b'data: {"id":'], cut=True)


@pytest.mark.parametrize("failure", [*FAILURES.values(), DRESSED, NO_EVENT, CUT_EARLY])
async def test_a_stream_falls_over_too_while_nothing_of_it_was_sent(failure: Step) -> None:
    async with two(ScriptedUpstream(failure), ScriptedUpstream(STREAM)) as pair:
        answer = await pair.gw.chat(stream=True)
        assert (answer.status, answer.headers["x-gateway-model"]) == (200, "second/gpt-5-mini")
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert b"overloaded" not in answer.body


class Spoken(NamedTuple):
    """How a stream of one endpoint begins, and goes on."""

    path: str
    fields: dict[str, Any]
    announced: list[dict[str, Any]]
    answered: list[dict[str, Any]]


def _text(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"id": "cmpl-1", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}


def _named(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


SPOKEN = {
    "chat": Spoken(CHAT, {"messages": HELLO}, chat_chunks("Hel")[:1], chat_chunks("Hel")[1:]),
    "completions": Spoken("/v1/completions", {"prompt": "hi"}, [_text("")], [_text("Hel"), _text("", "stop")]),
    "responses": Spoken(
        "/v1/responses",
        {"input": "hi"},
        [
            _named("created", response={"id": "r", "output": [], "error": None}),
            _named("in_progress", response={"id": "r", "output": [], "error": None}),
            _named("output_item.added", item={"type": "message", "content": []}),
            _named("content_part.added", part={"type": "output_text", "text": ""}),
        ],
        [_named("output_text.delta", delta="Hel"), _named("completed", response={"id": "r", "output": []})],
    ),
}


async def spoken_to(gw: RunningGateway, spoken: Spoken) -> Answer:
    document = {"model": "gpt-5-mini", "stream": True, **spoken.fields}
    return await gw.request("POST", spoken.path, body=json.dumps(document).encode())


BREAKS = {"cut": (b"", True), "ended": (b"", False), "an error": (event(OVERLOADED), False), "half": (b"data: {", True)}
"""What comes last, and whether the connection is cut then."""


@pytest.mark.parametrize("spoken", SPOKEN.values(), ids=SPOKEN)
@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_stream_that_was_only_announced_falls_over_too(
    spoken: Spoken, broken: tuple[bytes, bool], at_once: bool
) -> None:
    announced = [event(each) for each in spoken.announced]
    last, is_cut = broken
    start = [b"".join([*announced, last])] if at_once else [*announced, last]
    whole = [*announced, *map(event, spoken.answered), DONE]
    async with two(ScriptedUpstream(Stream(start, cut=is_cut)), ScriptedUpstream(Stream(whole))) as pair:
        answer = await spoken_to(pair.gw, spoken)
        assert (answer.status, answer.headers["x-gateway-model"]) == (200, "second/gpt-5-mini")
        assert answer.body == b"".join(whole)
        assert sum((await tries(pair.gw, "first")).values()) == 1
        assert await tries(pair.gw, "second") == {"ok": 1}


async def test_the_last_failure_of_streams_that_were_only_announced_is_a_status() -> None:
    begun = Stream([event(chat_chunks("Hel")[0]), event(OVERLOADED)])
    async with two(ScriptedUpstream(begun), ScriptedUpstream(begun)) as pair:
        answer = await pair.gw.chat(stream=True)
        assert (answer.status, answer.error["code"]) == (502, "upstream_unavailable")
        assert "overloaded" in answer.error["message"]


@pytest.mark.parametrize("hold_s", [0, 0.05])
async def test_what_announces_an_answer_leaves_when_the_answer_takes_its_time(hold_s: float) -> None:
    role, *rest = map(event, chat_chunks("Hel"))
    go_on = asyncio.Event()
    first = ScriptedUpstream(Stream([role, go_on, *rest, DONE]))
    async with two(first, ScriptedUpstream(), hold_s=hold_s) as pair:
        document = json.dumps({"model": "gpt-5-mini", "messages": HELLO, "stream": True})
        async with pair.gw.http.post(pair.gw.url + CHAT, data=document) as response:
            assert await response.content.readany() == role
            go_on.set()
            assert await response.content.read() == b"".join(rest) + DONE


async def test_a_client_that_leaves_while_nothing_has_come_but_an_announcement_ends_the_call() -> None:
    up = ScriptedUpstream(Stream([event(chat_chunks("Hel")[0]), asyncio.Event()]))
    async with two(up, ScriptedUpstream(), hold_s=60) as pair:
        asking = asyncio.create_task(pair.gw.chat(stream=True))
        await up.seen(1)
        asking.cancel()
        await asyncio.wait_for(up.requests[0].gone.wait(), 5)
        assert pair.second.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_what_is_wrong_with_the_request_is_told_at_once(status: int) -> None:
    async with two(ScriptedUpstream(Reply.of(OVERLOADED, status)), ScriptedUpstream()) as pair:
        answer = await pair.gw.chat()
        assert (answer.status, answer.json()) == (status, OVERLOADED)
        assert pair.second.requests == []


async def test_a_single_upstream_is_asked_again() -> None:
    async with ScriptedUpstream(Reset(), ANSWER) as up, gateway(one(up)) as gw:
        assert (await gw.chat()).status == 200
        assert await tries(gw, "up") == {"connect": 1, "ok": 1}


async def test_what_the_upstream_says_last_is_what_the_client_hears() -> None:
    busy = Reply.of(OVERLOADED, 503, [("Retry-After", "0")])
    async with ScriptedUpstream(Reset(), busy) as up, gateway(one(up)) as gw:
        answer = await gw.chat()
        assert (answer.status, answer.json(), answer.headers["Retry-After"]) == (503, OVERLOADED, "0")


async def test_a_long_retry_after_goes_to_the_client_at_once() -> None:
    async with ScriptedUpstream(FAILURES["429"]) as up, gateway(one(up)) as gw:
        answer = await gw.chat()
        assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
        assert len(up.requests) == 1


async def test_a_pause_that_would_pass_the_deadline_is_not_begun() -> None:
    wait = Reply.of(OVERLOADED, 503, [("Retry-After", "5")])
    async with ScriptedUpstream(wait) as up, gateway(one(up, total_timeout_s=2)) as gw:
        assert (await gw.chat()).status == 503
        assert len(up.requests) == 1


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_time_out_after_the_request_was_sent_is_not_tried_again(is_stream: bool) -> None:
    async with two(
        ScriptedUpstream(Stall()), ScriptedUpstream(ANSWER), first_byte_timeout_s=0.3, total_timeout_s=0.3
    ) as pair:
        assert (await pair.gw.chat(stream=is_stream)).status == 504
        assert pair.second.requests == []


async def test_nothing_is_tried_again_after_the_first_byte() -> None:
    cut = Stream.of(*chat_chunks("Hel")[:2], done=False, cut=True)
    async with two(ScriptedUpstream(cut), ScriptedUpstream(STREAM)) as pair:
        answer = await pair.gw.chat(stream=True)
        assert b'"code":"upstream_cut"' in answer.body
        assert pair.second.requests == []
        assert await tries(pair.gw, "first") == {"cut": 1}


async def test_a_target_that_keeps_failing_is_left_alone() -> None:
    async with two(ScriptedUpstream(then=Reset()), ScriptedUpstream(then=ANSWER)) as pair:
        for _ in range(8):
            assert (await pair.gw.chat()).status == 200
        assert (len(pair.first.requests), len(pair.second.requests)) == (5, 8)
        assert await pair.gw.metric("gateway_breaker_open", upstream="first") == 1
        assert await pair.gw.metric("gateway_breaker_open", upstream="second") == 0


async def test_a_target_that_works_again_is_found_out() -> None:
    first, second = ScriptedUpstream(*[Reset()] * 5, then=ANSWER), ScriptedUpstream(then=ANSWER)
    async with two(first, second, breaker={"open_s": 0.1}) as pair:
        for _ in range(5):
            await pair.gw.chat()
        async with asyncio.timeout(5):
            while (await pair.gw.chat()).headers["x-gateway-model"] != "first/gpt-5-nano":
                pass
        await pair.gw.chat()
        assert await pair.gw.metric("gateway_breaker_open", upstream="first") == 0


async def test_with_everything_down_no_upstream_is_asked_more_than_twice_a_request() -> None:
    async with two(ScriptedUpstream(then=Reset()), ScriptedUpstream(then=Reset())) as pair:
        answers = [await pair.gw.chat() for _ in range(20)]
        assert {(answer.status, answer.error["code"]) for answer in answers} == {(502, "upstream_unavailable")}
        assert len(pair.first.requests) + len(pair.second.requests) <= 30


async def test_the_only_upstream_is_asked_whatever_its_breaker_says() -> None:
    async with ScriptedUpstream(*[Reset()] * 6, then=ANSWER) as up, gateway(one(up, retries={"attempts": 1})) as gw:
        statuses = [(await gw.chat()).status for _ in range(8)]
        assert statuses == [502] * 6 + [200] * 2


async def test_operators_see_which_targets_are_left_alone() -> None:
    async with two(ScriptedUpstream(then=Reset()), ScriptedUpstream(then=ANSWER)) as pair:
        for _ in range(6):
            await pair.gw.chat()
        url, headers = pair.gw.admin_url + "/admin/upstreams", {"Authorization": "Bearer operators-secret"}
        async with pair.gw.http.get(url, headers=headers) as response:
            [process] = json.loads(await response.read())["processes"]
        rows = {row["name"]: row for row in process["upstreams"]}
        assert [target["breaker"] for target in rows["first"]["targets"]] == ["open"]
        assert (rows["first"]["calls"], rows["second"]["calls"]) == (5, 6)
        assert rows["second"]["targets"] == []


async def test_a_full_line_in_front_of_an_upstream_is_a_503_with_retry_after() -> None:
    held = Stream.of(asyncio.Event())
    settings = {"max_connections": 1, "retries": {"attempts": 1}}
    async with ScriptedUpstream(then=held) as up, gateway(one(up, **settings)) as gw:
        waiting = [asyncio.create_task(gw.chat()) for _ in range(2)]
        await up.seen(1)
        async with asyncio.timeout(5):
            while (answer := await gw.chat()).status != 503:
                pass
        assert (answer.error["code"], answer.headers["Retry-After"]) == ("overloaded", "1")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_redirects_are_not_followed() -> None:
    elsewhere = Reply(307, b"", (("Location", "http://127.0.0.1:1/stolen"),))
    async with ScriptedUpstream(then=elsewhere) as up, gateway(one(up, retries={"attempts": 1})) as gw:
        answer = await gw.chat()
        assert (answer.status, answer.error["code"]) == (502, "upstream_unavailable")
        assert "Location" not in answer.headers
        assert len(up.requests) == 1


async def test_a_client_cannot_name_an_upstream() -> None:
    async with ScriptedUpstream(ANSWER) as up, ScriptedUpstream() as evil, gateway(one(up)) as gw:
        answer = await gw.chat(api_base=evil.base_url, base_url=evil.base_url, headers={"X-Base-URL": evil.base_url})
        assert answer.status == 200
        assert up.requests[0].json()["api_base"] == evil.base_url, "it is an unknown field like any other"
        assert evil.requests == []


@pytest.mark.parametrize("page", [Reply(502, b"<html>Bad Gateway</html>"), Reply(200, b"<html>Log in</html>")])
async def test_a_servers_own_page_is_no_answer(page: Reply) -> None:
    async with ScriptedUpstream(then=page) as up, gateway(one(up)) as gw:
        answer = await gw.chat()
        assert (answer.status, answer.error["code"]) == (502, "upstream_unavailable")
        assert b"html" not in answer.body


@pytest.mark.parametrize("wants_usage", [True, False])
async def test_nothing_passes_behind_an_error_in_a_stream(wants_usage: bool) -> None:
    first = event(chat_chunks("Hel")[1])
    async with ScriptedUpstream(Stream([first, event(OVERLOADED) + DONE])) as up, gateway(one(up)) as gw:
        answer = await gw.chat(stream=True, stream_options={"include_usage": wants_usage})
        assert answer.body == first + event(OVERLOADED)


async def test_a_very_large_event_reaches_the_client() -> None:
    image = {**chat_chunks("x")[1], "image": "i" * (10 << 20)}
    chunks = [event(chat_chunks("x")[0]), event(image), event(chat_chunks("x")[-1]), DONE]
    async with ScriptedUpstream(Stream(chunks)) as up, gateway(one(up)) as gw:
        assert (await gw.chat(stream=True)).body == b"".join(chunks)


async def test_a_delete_without_a_body_stays_without_one() -> None:
    async with ScriptedUpstream(then=Reply.of({})) as up, gateway(one(up)) as gw:
        reader, writer = await asyncio.open_connection(*gw.url.removeprefix("http://").split(":"))
        writer.write(b"DELETE /v1/files/f HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        assert up.requests[0].header("Content-Length") is None
        assert up.requests[0].header("Transfer-Encoding") is None


async def test_who_waits_in_vain_for_a_connection_has_sent_nothing_and_asks_elsewhere() -> None:
    settings = {"max_connections": 1, "first_byte_timeout_s": 0.3}
    async with two(ScriptedUpstream(Stall()), ScriptedUpstream(STREAM), **settings) as pair:
        holding = asyncio.create_task(pair.gw.chat())  # a whole answer may take as long as it likes
        await pair.first.seen(1)
        answer = await pair.gw.chat(stream=True)
        assert (answer.status, answer.headers["x-gateway-model"]) == (200, "second/gpt-5-mini")
        assert len(pair.first.requests) == 1
        holding.cancel()
        await asyncio.wait([holding])


@pytest.mark.parametrize("leaves", [True, False])
async def test_who_leaves_or_times_out_in_line_for_a_connection_pays_nothing(leaves: bool) -> None:
    settings = {"max_connections": 1, "first_byte_timeout_s": 60 if leaves else 0.2, "retries": {"attempts": 1}}
    async with ScriptedUpstream(Stall()) as up, gateway(one(up, **settings)) as gw:
        holding = asyncio.create_task(gw.chat())
        await up.seen(1)
        waiting = asyncio.create_task(gw.chat(stream=True))
        labels = {"route": "default", "endpoint": "chat", "tier": "none", "model": "none"}
        if leaves:
            await gw.until(lambda scrape: scrape("gateway_upstream_in_flight", upstream="up") == 2)
            waiting.cancel()
        else:
            answer = await waiting
            assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")
        code = "499" if leaves else "504"
        await gw.until(lambda scrape: scrape("gateway_requests_total", **labels, code=code) == 1)
        cost = {"route": "default", "tier": "none", "model": "gpt-5-mini", "source": "estimated"}
        assert await gw.metric("gateway_cost_usd_total", **cost) == 0
        holding.cancel()  # this one has been sent
        await gw.until(lambda scrape: scrape("gateway_cost_usd_total", **cost) > 0)
        await asyncio.wait([holding, waiting])
