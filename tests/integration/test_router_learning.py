"""A router that learns from its own traffic: what is compared, booked and kept, and what becomes of it."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway.migrations.upgrade import upgrade
from tests.support.gateway import config
from tests.support.gateway import gateway as serving  # by another name, so that one lane is enough: both learn alike
from tests.support.upstream import Reply, ScriptedUpstream, Seen, Stream, chat_body, chat_chunks, usage

EASY = "What is the capital of France?"
CHEAP, EXPENSIVE, JUDGE = "gpt-4o-mini", "gpt-4o", "gpt-4.1"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with all its tables: making them takes seconds."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(autouse=True)
def ledger(made_once: Path, tmp_path: Path) -> None:
    shutil.copy(made_once, tmp_path / "ledger.db")


def answering(**answers: str) -> Any:
    """Each model gives its own answer."""

    def answer(request: Seen) -> Reply | Stream:
        asked = request.json()
        model = asked["model"]
        text = answers[{CHEAP: "cheap", EXPENSIVE: "expensive", JUDGE: "judge"}[model]]
        if asked.get("stream"):
            return Stream.of(*chat_chunks(text, model=model, usage=usage(10, 5)))
        return Reply.of(chat_body(text, model=model, usage=usage(10, 5)))

    return answer


def learning(upstream: ScriptedUpstream, folder: Path, **router: Any) -> dict[str, Any]:
    return config(
        upstream.base_url,
        ledger=f"sqlite:///{folder}/ledger.db",
        tiers={"cheap": [f"up/{CHEAP}"], "expensive": [f"up/{EXPENSIVE}"]},
        routes=[{"name": "auto", "tier": "auto", "router": {"threshold": 0.9, **router}}],
    )


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{folder}/ledger.db?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_shadow_call_is_judged_booked_and_kept_and_the_client_sees_nothing_of_it(
    tmp_path: Path, is_stream: bool
) -> None:
    shadow = {"share": 0.5, "judge": "similarity"}
    stream = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    async with ScriptedUpstream(then=answering(cheap="It is Paris", expensive="Paris it is")) as upstream:
        answers = await shadowed(tmp_path, upstream, "judged", shadow=shadow, fields=stream)
        assert all(b"Paris it" not in answer for answer in answers)
        assert all(not seen.json().get("stream") for seen in upstream.requests if seen.json()["model"] == EXPENSIVE)
    [(weak, strong, judge, tier, text)] = rows(
        tmp_path,
        "SELECT weak, strong, judge, tier, text FROM router_outcomes JOIN router_samples USING (request_id) LIMIT 1",
    )
    assert (weak, strong, judge, tier, text) == (1.0, 1.0, "similarity", "cheap", None)
    [(key, endpoint, tier, cost)] = rows(
        tmp_path, "SELECT key_name, endpoint, tier, cost_nanousd FROM ledger WHERE reason = 'shadow' LIMIT 1"
    )
    assert (key, endpoint, tier) == ("shadow", "shadow", "expensive")
    assert cost > 0


async def shadowed(
    folder: Path,
    upstream: ScriptedUpstream,
    result: str,
    fields: dict[str, Any] | None = None,
    total_timeout_s: float = 600,
    **router: Any,
) -> list[bytes]:
    """Ask until one request has been picked, by a chance of one half, and compared with that result; all answers."""
    answers = []
    document = learning(upstream, folder, **router)
    document["upstreams"]["up"]["total_timeout_s"] = total_timeout_s
    async with serving(document) as gw:
        for _ in range(60):
            answer = await gw.chat(model="auto", messages=[{"role": "user", "content": EASY}], **(fields or {}))
            assert answer.headers["x-gateway-tier"] == "cheap"
            answers.append(answer.body)
            if await gw.metric("gateway_router_shadows_total", route="auto", result=result):
                break
        await gw.until_within(
            20, lambda scrape: scrape("gateway_router_shadows_total", route="auto", result=result) >= 1
        )
    return answers


async def test_a_judge_model_is_asked_twice_with_the_answers_swapped(tmp_path: Path) -> None:
    shadow = {"share": 0.5, "judge": "model", "judge_model": f"up/{JUDGE}", "concurrent": 1}
    async with ScriptedUpstream(then=answering(cheap="x", expensive="y", judge="A")) as upstream:
        await shadowed(tmp_path, upstream, "judged", shadow=shadow)
        asked = [
            json.loads(s.json()["messages"][1]["content"]) for s in upstream.requests if s.json()["model"] == JUDGE
        ]
    assert [(each["answer_a"], each["answer_b"]) for each in asked[:2]] == [("x", "y"), ("y", "x")]
    assert rows(tmp_path, "SELECT DISTINCT weak, strong FROM router_outcomes") == [(0.5, 0.5)]


async def test_a_request_that_leaves_something_behind_is_not_made_twice(tmp_path: Path) -> None:
    upstream = ScriptedUpstream(then=answering(cheap="x", expensive="y"))
    async with upstream, serving(learning(upstream, tmp_path, shadow={"share": 0.5})) as gw:
        for _ in range(20):
            await gw.chat(model="auto", messages=[{"role": "user", "content": EASY}], store=True)
    assert {seen.json()["model"] for seen in upstream.requests} == {CHEAP}


async def test_shadow_calls_end_where_their_budget_ends(tmp_path: Path) -> None:
    shadow = {"share": 0.5, "usd_per_day": 1e-9, "concurrent": 1}
    async with ScriptedUpstream(then=answering(cheap="x", expensive="y")) as upstream:
        await shadowed(tmp_path, upstream, "no_budget", shadow=shadow)
        assert len([seen for seen in upstream.requests if seen.json()["model"] == EXPENSIVE]) == 1


async def test_a_shadow_call_that_fails_harms_nobody(tmp_path: Path) -> None:
    def broken(request: Seen) -> Reply:
        if request.json()["model"] == EXPENSIVE:
            return Reply.of({"error": {"message": "no", "type": "x", "param": None, "code": None}}, 400)
        return Reply.of(chat_body("x"))

    async with ScriptedUpstream(then=broken) as upstream:
        await shadowed(tmp_path, upstream, "failed", shadow={"share": 0.5})
    assert rows(tmp_path, "SELECT COUNT(*) FROM router_outcomes") == [(0,)]


async def test_a_shadow_call_that_runs_out_of_time_is_booked_for_the_model_works_on_it(tmp_path: Path) -> None:
    async def hanging(request: Seen) -> Reply:
        if request.json()["model"] == EXPENSIVE:
            await request.gone.wait()
        return Reply.of(chat_body("x", usage=usage(10, 5)))

    async with ScriptedUpstream(then=hanging) as upstream:
        await shadowed(tmp_path, upstream, "failed", shadow={"share": 0.5}, total_timeout_s=0.4)
    [(is_success, source, cost)] = rows(
        tmp_path, "SELECT is_success, cost_source, cost_nanousd FROM ledger WHERE reason = 'shadow' LIMIT 1"
    )
    assert (is_success, source) == (0, "estimated")
    assert cost > 0


async def test_feedback_counts_where_a_coin_decided_and_from_who_asked_alone(tmp_path: Path) -> None:
    keys = [{"name": "asker", "key": "askers-secret"}, {"name": "other", "key": "others-secret"}]
    async with ScriptedUpstream(then=answering(cheap="x", expensive="y")) as upstream:
        document = {**learning(upstream, tmp_path, explore=0.5, keep_text=True), "auth": "required", "keys": keys}
        async with serving(document) as gw:

            async def say(key: str, about: str, score: float) -> int:
                body = json.dumps({"id": about, "score": score, "comment": "hm\0"}).encode()
                answer = await gw.request("POST", "/v1/feedback", body=body, headers={"Authorization": f"Bearer {key}"})
                return answer.status

            for _ in range(60):  # until a coin has decided
                asked = [{"role": "user", "content": EASY}]
                answer = await gw.chat(key="askers-secret", model="auto", messages=asked)
                request_id, tier = answer.headers["x-request-id"], answer.headers["x-gateway-tier"]
                if await gw.metric("gateway_router_decisions_total", route="auto", tier=tier, reason="explore"):
                    break
            assert [await say("askers-secret", request_id, score) for score in (-1, 0.5)] == [202, 202]
            assert await say("others-secret", request_id, -1) == 202
            assert await say("askers-secret", "an-id-of-nobody", 1) == 202
            assert await say("a-wrong-secret", request_id, 1) == 401
            assert await gw.metric("gateway_feedback_total", opinion="up") == 2
            await gw.until_within(30, lambda scrape: scrape("gateway_ledger_queued_rows") == 0)  # the tables are made
    assert rows(tmp_path, "SELECT key_name, score, comment FROM router_feedback") == [("asker", 0.5, "hm")]
    [(text, propensity)] = rows(tmp_path, "SELECT DISTINCT text, propensity FROM router_samples")
    assert (text, propensity) == (EASY, 0.5)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", None),
        (b'{"id": "", "score": 1}', "id"),
        (b'{"id": 1, "score": 1}', "id"),
        (b'{"id": "x\\u0000", "score": 1}', "id"),
        (b'{"id": "x\\ud800", "score": 1}', "id"),
        (b'{"id": "' + b"x" * 129 + b'", "score": 1}', "id"),
        (b'{"id": "x", "score": 2}', "score"),
        (b'{"id": "x", "score": true}', "score"),
        (b'{"id": "x", "score": 1, "comment": 5}', "comment"),
        (b'{"id": "x", "score": 1, "comment": "' + b"x" * 2001 + b'"}', "comment"),
    ],
)
async def test_feedback_that_is_not_understood_is_refused(tmp_path: Path, body: bytes, param: str | None) -> None:
    async with ScriptedUpstream() as upstream, serving(learning(upstream, tmp_path)) as gw:
        answer = await gw.request("POST", "/v1/feedback", body=body)
        assert (answer.status, answer.error["param"]) == (400, param)


async def test_without_a_ledger_feedback_is_refused() -> None:
    async with ScriptedUpstream() as upstream, serving(config(upstream.base_url)) as gw:
        answer = await gw.request("POST", "/v1/feedback", body=b'{"id": "x", "score": 1}')
        assert answer.status == 404
        assert "ledger" in answer.error["message"]
