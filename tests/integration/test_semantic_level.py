"""The semantic level of the cache: what it compares, keeps apart, books and closes, and how it stays out of the way."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.gateway import Scrape
from tests.support.gateway import gateway as serving  # by another name: one lane is enough, both come to the same cache
from tests.support.redis_server import RedisServer
from tests.support.semantic import FAR, RESET, RESET_NOT, RESET_TOO, Api, ask, is_semantic, looked, opened, semantic
from tests.support.upstream import Reply, ScriptedUpstream, Seen, Stall, Step, chat_body, usage


@pytest.fixture
def api() -> Api:
    return Api()


async def test_exact_hits_ask_for_no_vector(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up, serving(semantic(up.base_url)) as gw:
        await ask(gw, RESET)
        await ask(gw, RESET)
        assert api.embedded == [RESET]


async def test_until_enough_answers_proved_right_none_is_served(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up, serving(semantic(up.base_url, least_checks=2)) as gw:
        first, second, third, fourth = (
            f"{words} I reset my password?" for words in ("How can", "How do", "How could", "How to let")
        )
        for question in (first, second, third):
            answer = await ask(gw, question)
            assert answer.headers["Cache-Status"] == "gateway; fwd=miss; stored"
        await gw.until(lambda scrape: scrape("gateway_semantic_checks_total", route="default", result="same") == 2)
        assert is_semantic(await ask(gw, fourth))
        assert api.asked == [first, second, third]
        assert await gw.metric("gateway_semantic_wrong_ratio", route="default", bound="high") == pytest.approx(
            0.6576, abs=1e-4
        )


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        (RESET_NOT, {}),
        ("How do I reset 2 passwords of my own?", {}),
        ("How does Bob reset my password?", {}),
        (RESET_TOO, {"temperature": 0.5}),
        (RESET_TOO, {"model": "gpt-5"}),
        (RESET_TOO, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        (RESET_TOO, {"headers": {"Cache-Control": "no-cache"}}),
        (RESET_TOO, {"headers": {"Cache-Control": "no-store"}}),
        (RESET_TOO, {"headers": {"Cache-Control": "max-age=0"}}),
    ],
)
async def test_what_differs_is_not_served_however_near(api: Api, question: str, fields: dict[str, Any]) -> None:
    async with ScriptedUpstream(then=api) as up, serving(semantic(up.base_url)) as gw:
        await opened(gw)
        await ask(gw, RESET)
        assert "; hit" not in (await ask(gw, question, **fields)).headers["Cache-Status"]
        assert api.asked[-1] == question


async def test_questions_that_lie_apart_are_not_served(api: Api) -> None:
    api.vectors[RESET_TOO] = FAR
    async with ScriptedUpstream(then=api) as up, serving(semantic(up.base_url)) as gw:
        await opened(gw)
        await ask(gw, RESET)
        assert not is_semantic(await ask(gw, RESET_TOO))
        assert await looked(gw, "none") == 3  # the first question of all, and both of these


async def test_keys_share_no_answers_where_the_route_says_so(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up:
        changed = semantic(up.base_url)
        changed["routes"][0]["cache"]["share"] = "key"
        async with serving(changed) as gw:
            await opened(gw)
            await ask(gw, RESET)
            assert not is_semantic(await ask(gw, RESET_TOO, key="key-blue-one"))
            assert is_semantic(await ask(gw, RESET_TOO))


@pytest.mark.parametrize(
    ("embedding", "result"),
    [
        (Reply.of({"error": {"message": "no"}}, status=400), "failed"),
        (Reply.of({"error": {"message": "no"}}, status=500), "failed"),
        (Reply.of({"data": [{"embedding": "AAAA"}]}), "failed"),
        (Reply.of({"data": []}), "failed"),
        (Reply.of({"data": [{"embedding": [0.0, 0.0]}]}), "failed"),
        (Reply(200, b"not JSON"), "failed"),
        (Stall(), "timeout"),
    ],
)
async def test_without_a_vector_in_time_the_model_is_asked(api: Api, embedding: Step, result: str) -> None:
    api.embedding = embedding
    settings = {"timeout_s": 0.05} if result == "timeout" else {}
    async with ScriptedUpstream(then=api) as up, serving(semantic(up.base_url, embeddings=settings)) as gw:
        answer = await ask(gw, RESET)
        assert answer.headers["Cache-Status"] == "gateway; fwd=miss; stored"
        assert await looked(gw, result) == 1
        assert await gw.metric("gateway_semantic_embedding_seconds_count", route="default") == 1


async def test_an_embeddings_model_that_keeps_failing_is_left_alone(api: Api) -> None:
    api.embedding = Stall()
    async with ScriptedUpstream(then=api) as up, serving(semantic(up.base_url, embeddings={"timeout_s": 0.02})) as gw:
        for number in range(8):
            await ask(gw, f"How do I reset password number {number} of mine?")
        assert await looked(gw, "timeout") == 5
        assert await looked(gw, "busy") == 3


async def test_wrong_answers_close_the_level_until_it_is_reopened(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedUpstream(then=api) as up, serving(semantic(up.base_url, check=1.0)) as gw:
        api.answers[RESET_TOO] = "Something else entirely, with other words."
        await ask(gw, RESET)
        assert (await ask(gw, RESET_TOO)).json()["choices"][0]["message"]["content"].startswith("Something else")
        await gw.until(lambda scrape: scrape("gateway_semantic_state", route="default") == 2)
        assert "semantic cache of route default: closed itself, 1 of 1" in caplog.text
        calls = len(api.embedded)
        await ask(gw, "How could I reset my password?")
        assert await looked(gw, "closed") == 1
        assert len(api.embedded) == calls
        [process] = (await gw.admin("GET", "/admin/cache")).json()["processes"]
        assert process["semantic"]["routes"]["default"]["state"] == "closed"
        assert process["semantic"]["routes"]["default"]["wrong"] == 1
        reopened = await gw.admin("POST", "/admin/cache/reopen", {"route": "default"})
        assert (reopened.status, reopened.json()) == (200, {"reopened": "default", "processes": 1})
        assert await gw.metric("gateway_semantic_state", route="default") == 0


async def test_processes_that_share_a_store_close_and_reopen_together(api: Api, redis_server: RedisServer) -> None:
    def state(wanted: int) -> Callable[[Scrape], bool]:
        return lambda scrape: scrape("gateway_semantic_state", route="default") == wanted

    async with (
        ScriptedUpstream(then=api) as up,
        serving(semantic(up.base_url, redis_server.url, check=1.0)) as one,
        serving(semantic(up.base_url, redis_server.url)) as other,
    ):
        await opened(other)
        api.answers[RESET_TOO] = "Something else entirely, with other words."
        await ask(one, RESET)
        await ask(one, RESET_TOO)
        await one.until(state(2))
        await other.until(state(2))
        assert (await other.admin("POST", "/admin/cache/reopen", {"route": "default"})).status == 200
        await other.until(state(0))
        await one.until(state(0))


@pytest.mark.parametrize("body", [{}, {"route": 1}, {"route": "other"}, {"route": "default", "key": "red"}])
async def test_an_order_to_reopen_names_a_route_that_has_one(body: dict[str, Any]) -> None:
    async with serving(semantic("http://127.0.0.1:1/v1")) as gw:
        assert (await gw.admin("POST", "/admin/cache/reopen", body)).status == 400


@pytest.mark.parametrize("purged", [{"route": "default"}, {"all": True}, {"key": "red"}])
async def test_a_purge_ends_semantic_hits_as_it_ends_others(api: Api, purged: dict[str, Any]) -> None:
    async with ScriptedUpstream(then=api) as up:
        own = semantic(up.base_url)
        own["routes"][0]["cache"]["share"] = "key"
        async with serving(own) as gw:
            await opened(gw)
            await ask(gw, RESET)
            assert (await gw.admin("POST", "/admin/cache/purge", purged)).status == 200
            await gw.until(lambda scrape: scrape("gateway_semantic_vectors") == 0)
            assert not is_semantic(await ask(gw, RESET_TOO))
            is_on_trial = await gw.metric("gateway_semantic_state", route="default") == 0
            assert is_on_trial == ("key" not in purged)


async def test_an_entry_that_is_gone_is_no_hit(api: Api, redis_server: RedisServer) -> None:
    async with ScriptedUpstream(then=api) as up:
        without_memory = semantic(up.base_url, redis_server.url)
        without_memory["cache"]["memory_mb"] = 0
        async with serving(without_memory) as gw:
            await opened(gw)
            await ask(gw, RESET)
            with redis.Redis.from_url(redis_server.url) as store:
                store.delete(*store.keys("gw:cache:*:*:*"))
            assert not is_semantic(await ask(gw, RESET_TOO))


async def test_a_reload_keeps_the_index_and_what_was_found_out(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up:
        before = semantic(up.base_url)
        async with serving(before) as gw:
            await opened(gw)
            await ask(gw, RESET)
            await gw.reload({**before, "unknown_price": "reject"})
            assert is_semantic(await ask(gw, RESET_TOO))
            await gw.reload(semantic(up.base_url, threshold=0.98))
            assert await gw.metric("gateway_semantic_state", route="default") == 0
            assert not is_semantic(await ask(gw, "How could I reset my password?"))


async def test_its_calls_are_booked_apart(api: Api, tmp_path: Path) -> None:
    async with ScriptedUpstream(then=api) as up:
        booked = {**semantic(up.base_url), "ledger": f"sqlite:///{tmp_path}/ledger.db"}
        async with serving(booked) as gw:
            await opened(gw)
            await ask(gw, RESET)
            await ask(gw, RESET_TOO)
            spent = await gw.metrics()
            assert (
                spent(
                    "gateway_tokens_total", route="default", tier="none", model="text-embedding-3-small", type="input"
                )
                == 28
            )
    connection = sqlite3.connect(f"file:{tmp_path}/ledger.db?mode=ro", uri=True)
    own = connection.execute(
        "SELECT key_name, endpoint, reason, input_tokens, cost_nanousd FROM ledger WHERE endpoint = 'semantic'"
    ).fetchall()
    hits = connection.execute(
        "SELECT cache, cost_nanousd, saved_cache_nanousd > 0 FROM ledger WHERE cache_detail = 'semantic'"
    ).fetchall()
    connection.close()
    assert own == [("semantic", "semantic", "embedding", 7, 140)] * 4
    assert hits == [("hit", None, 1)]


async def test_a_judge_model_is_asked_twice_with_the_answers_swapped(api: Api) -> None:
    def judged(request: Seen) -> Step:
        asked = request.json()
        if asked.get("model") != "judge":
            return api(request)
        shown = json.loads(asked["messages"][1]["content"])
        return Reply.of(chat_body("A" if "Press" in shown["answer_a"] else "B", usage=usage(9, 1)))

    api.answers["Why does the sky be blue?"] = "Because of the air."
    async with (
        ScriptedUpstream(then=judged) as up,
        serving(semantic(up.base_url, judge="model", judge_model="up/judge")) as gw,
    ):
        await opened(gw)
        shown = [json.loads(s.json()["messages"][1]["content"]) for s in up.requests if s.json()["model"] == "judge"]
        assert [(each["answer_a"], each["answer_b"]) for each in shown] == [
            ("Press the button.", "Because of the air."),
            ("Because of the air.", "Press the button."),
        ]


async def test_answers_that_must_agree_may_be_worded_otherwise_only_around_the_point(api: Api) -> None:
    api.answers = {
        "How many legs does a crab have?": "A crab has 10 legs.",
        "How many legs do crabs have, please?": "It walks on 10 legs",
        "Please tell me how many legs a crab does have": "The answer is 8.",
    }
    async with (
        ScriptedUpstream(then=api) as up,
        serving(semantic(up.base_url, judge="agreement", least_checks=2, max_wrong=0.0)) as gw,
    ):
        for question in api.answers:
            await ask(gw, question)
        await gw.until(lambda s: s("gateway_semantic_state", route="default") == 2)
        scrape = await gw.metrics()
        assert scrape("gateway_semantic_checks_total", route="default", result="same") == 1
        assert scrape("gateway_semantic_checks_total", route="default", result="different") == 1


async def test_an_answer_that_calls_tools_serves_no_other_question(api: Api) -> None:
    def calling(request: Seen) -> Step:
        if request.path.endswith("/embeddings"):
            return api(request)
        api.asked.append("")
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
        body = chat_body("", finish_reason="tool_calls", usage=usage(8, 2))
        body["choices"][0]["message"] = message
        return Reply.of(body)

    async with ScriptedUpstream(then=calling) as up, serving(semantic(up.base_url)) as gw:
        await ask(gw, RESET)
        await ask(gw, RESET_TOO)
        assert await gw.metric("gateway_semantic_vectors") == 0
        assert len(api.asked) == 2


async def test_who_is_refused_costs_no_vector(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up:
        limited = semantic(up.base_url)
        limited["keys"] = [{**limited["keys"][0], "limits": {"requests_per_minute": 1}}]
        async with serving(limited) as gw:
            await ask(gw, RESET)
            refused = await gw.chat(key="key-red-one", messages=[{"role": "user", "content": RESET_TOO}])
            assert refused.status == 429
            assert api.embedded == [RESET]


async def test_a_hit_takes_nothing_from_a_budget(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up:
        tight = semantic(up.base_url)
        tight["routes"][0] |= {"budgets": [{"usd": 1, "per": "total"}], "tokens": {"default_completion": 50}}
        async with serving(tight) as gw:
            await opened(gw)
            await ask(gw, RESET)
            assert is_semantic(await ask(gw, RESET_TOO))
            assert is_semantic(await ask(gw, RESET_TOO, stream=True))
            async with asyncio.timeout(5):
                while (found := (await gw.admin("GET", "/admin/budgets")).json()["budgets"][0])["reserved"]:
                    pass
            assert found["spent"] == pytest.approx(3 * (8 * 250 + 2 * 2000) / 1e9)  # three that the model answered


async def test_a_question_stands_nowhere_but_in_the_calls_that_ask_it(
    api: Api, redis_server: RedisServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    def failing(request: Seen) -> Step:
        return (
            Reply.of({"error": {"message": request.body.decode()}}, status=500)
            if b"judge" in request.body
            else api(request)
        )

    policy: dict[str, Any] = {"judge": "model", "judge_model": "up/judge"}
    async with (
        ScriptedUpstream(then=failing) as up,
        serving(semantic(up.base_url, redis_server.url, **policy)) as gw,
    ):
        await ask(gw, "How do I announce the canary merger?")
        await ask(gw, "How can I announce the canary merger?")
        await gw.until(lambda s: s("gateway_semantic_checks_total", route="default", result="unjudged") == 1)
        shown = [str((await gw.metrics()).samples).encode(), (await gw.admin("GET", "/admin/cache")).body]
    output = capfd.readouterr()
    shown += [output.out.encode(), output.err.encode(), caplog.text.encode(), redis_server.content()]
    assert [piece for piece in shown if b"canary" in piece] == []
