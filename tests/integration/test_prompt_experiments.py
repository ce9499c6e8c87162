"""An experiment from its start to its figures: shares, stickiness, each request in ledger, metrics and figures.

`make chaos ARGS=experiments` does the same with 20,000 requests.
"""

import asyncio
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.migrations.upgrade import upgrade
from gateway.sql import Database
from tests.support.gateway import ADMIN_KEY, Answer, RunningGateway, config, gateway
from tests.support.polling import until
from tests.support.upstream import Reply, ScriptedUpstream, Seen, Step, Stream, chat_body, chat_chunks, usage

USERS = 120
TIMES = 3
ANSWER = Reply.of(chat_body("Hello.", usage=usage(100, 20)))
COST = 100 * 250 + 20 * 2_000
"""Of one answer, at gpt-5-mini's prices."""


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    upgrade(url)
    return url


def document(upstream_url: str, ledger: str) -> dict[str, Any]:
    sections = {
        "server": {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}},
        "ledger": ledger,
        "prices": {"gpt-5-mini": {"input": 0.25, "output": 2.0}},
    }
    return config(upstream_url, **sections)


async def push(gw: RunningGateway, *texts: str) -> None:
    for text in texts:
        messages = [{"role": "system", "content": text}]
        body = {"document": {"name": "support", "model": "gpt-5-mini", "messages": messages}}
        assert (await gw.admin("POST", "/admin/prompts", body)).status == 201


async def split(gw: RunningGateway, **weights: int) -> None:
    arms = [{"version": int(number.strip("v")), "weight": weight} for number, weight in weights.items()]
    answer = await gw.admin("POST", "/admin/prompts/support/labels/production/split", {"versions": arms})
    assert answer.status == 200, answer.body


async def ask(gw: RunningGateway, **fields: Any) -> Answer:
    body = json.dumps({"prompt": {"id": "support"}, "messages": [{"role": "user", "content": "hi"}], **fields})
    return await gw.request("POST", "/v1/chat/completions", body=body.encode())


def version_of(answer: Answer) -> int:
    assert answer.status == 200, answer.body
    name, _, number = answer.headers["x-gateway-prompt"].partition("@")
    assert name == "support"
    return int(number)


async def written(gw: RunningGateway) -> None:
    await gw.until(lambda scrape: scrape("gateway_ledger_queued_rows") == 0)


async def test_a_split_holds_stays_and_adds_up(ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.", "Be very brief.")
        await split(gw, v1=70, v2=30)
        rounds = [await asyncio.gather(*(ask(gw, user=f"u{n}") for n in range(USERS))) for _ in range(TIMES)]
        first, *later = [[version_of(answer) for answer in answers] for answers in rounds]
        assert all(again == first for again in later), "whoever has a version keeps it"
        assert abs(first.count(2) - 0.3 * USERS) <= 4 * math.sqrt(USERS * 0.3 * 0.7)

        sent = Counter(request.json()["messages"][0]["content"] for request in up.requests)
        assert sent == {"Be brief.": TIMES * first.count(1), "Be very brief.": TIMES * first.count(2)}
        await written(gw)
        async with Database(gw.live.gateway.config.ledger) as database:
            rows = await database.fetch(
                "SELECT prompt_version, prompt_label, COUNT(*), SUM(cost_nanousd) FROM ledger GROUP BY 1, 2 ORDER BY 1"
            )
        expected = [(number, TIMES * first.count(number)) for number in (1, 2)]
        assert rows == [(number, "production", count, count * COST) for number, count in expected]
        figures = (await gw.admin("GET", "/admin/prompts/support/figures")).json()["versions"]
        assert [(each["version"], each["answers"], each["cost_nanousd"]) for each in figures] == [
            (number, count, count * COST) for number, count in expected
        ]
        scrape = await gw.metrics()
        for number, count in expected:
            labels = {"prompt": "support", "version": str(number)}
            assert scrape("gateway_prompt_version_requests_total", **labels, result="stop") == count
            assert scrape("gateway_prompt_version_tokens_total", **labels, type="output") == 20 * count
            assert round(scrape("gateway_prompt_version_cost_usd_total", **labels) * 1e9) == count * COST


async def test_more_weight_moves_users_to_that_version_alone_while_it_serves(ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.", "Be very brief.")
        await split(gw, v1=90, v2=10)
        before = [version_of(answer) for answer in await asyncio.gather(*(ask(gw, user=f"u{n}") for n in range(60)))]
        await split(gw, v1=50, v2=50)
        after = [version_of(answer) for answer in await asyncio.gather(*(ask(gw, user=f"u{n}") for n in range(60)))]
        assert Counter(zip(before, after, strict=True))[2, 1] == 0
        assert after.count(2) > before.count(2)
        stopped = await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 2})
        assert stopped.status == 200
        assert {version_of(await ask(gw, user=f"u{n}")) for n in range(10)} == {2}


async def test_feedback_reaches_the_version_that_answered(ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.")
        answer = await ask(gw, prompt={"id": "support", "version": "1"})
        said = json.dumps({"id": answer.headers["x-request-id"], "score": -1}).encode()
        assert (await gw.request("POST", "/v1/feedback", body=said)).status == 202
        down = {"prompt": "support", "version": "1", "opinion": "down"}
        await gw.until_within(20, lambda scrape: scrape("gateway_prompt_version_feedback_total", **down) == 1)

        async def is_seen() -> bool:
            [figures] = (await gw.admin("GET", "/admin/prompts/support/figures")).json()["versions"]
            return (figures["up"], figures["down"]) == (0, 1)

        await until(is_seen)


# ------------------------------------------------------------------ shadow versions


async def shadow(gw: RunningGateway, version: int, *, share: float = 1.0, usd_per_day: float = 1.0) -> None:
    wanted = {"version": version, "share": share, "usd_per_day": usd_per_day}
    assert (await gw.admin("POST", "/admin/prompts/support/shadow", {"shadow": wanted})).status == 200


async def until_shadows(gw: RunningGateway, result: str, count: int) -> None:
    await gw.until_within(20, lambda scrape: scrape("gateway_prompt_shadows_total", result=result) == count)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_shadow_is_answered_beside_booked_apart_and_shown_to_nobody(ledger: str, stream: bool) -> None:
    async with ScriptedUpstream(then=answering) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.", "Be very brief.")
        await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 1})
        await shadow(gw, 2)
        answers = [await ask(gw, stream=stream, user="ann") for _ in range(3)]
        assert {version_of(answer) for answer in answers} == {1}
        assert all(b"Hello from 1" in answer.body and b"from 2" not in answer.body for answer in answers)
        await until_shadows(gw, "answered", 3)
        sent = Counter((seen.json()["messages"][0]["content"], bool(seen.json().get("stream"))) for seen in up.requests)
        assert sent == {("Be brief.", stream): 3, ("Be very brief.", False): 3}
        await written(gw)
        figures = (await gw.admin("GET", "/admin/prompts/support/figures")).json()["versions"]
        assert [(each["version"], each["is_shadow"], each["answers"], each["cost_nanousd"]) for each in figures] == [
            (1, False, 3, 3 * COST),
            (2, True, 3, 3 * COST),
        ]
        scrape = await gw.metrics()
        counted = {labels for name, labels in scrape.samples if name == "gateway_prompt_version_requests_total"}
        assert {dict(labels)["version"] for labels in counted} == {"1"}
        async with Database(ledger) as database:
            rows = await database.fetch("SELECT DISTINCT endpoint, key_name, reason FROM ledger ORDER BY 1")
        assert rows == [("chat", "anonymous", "upstream"), ("shadow", "shadow", "shadow")]


def answering(seen: Seen) -> Step:
    """In the form that was asked for, naming the version by its prompt."""
    asked = seen.json()
    text = "Hello from 1" if asked["messages"][0]["content"] == "Be brief." else "Hello from 2"
    if not asked.get("stream"):
        return Reply.of(chat_body(text, usage=usage(100, 20)))
    return Stream.of(*chat_chunks(text, usage=usage(100, 20)))


async def test_a_shadow_ends_with_its_budget(ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.", "Be very brief.")
        await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 1})
        await shadow(gw, 2, usd_per_day=2 * COST / 1e9)
        for count in (1, 2):
            version_of(await ask(gw))
            await until_shadows(gw, "answered", count)
        version_of(await ask(gw))
        await until_shadows(gw, "no_budget", 1)
        await shadow(gw, 1)
        version_of(await ask(gw))  # the client has that version itself
    assert len(up.requests) == 6


def failing(seen: Seen) -> Step:
    return Reply(500) if seen.json()["messages"][0]["content"] == "Be very brief." else ANSWER


async def test_a_shadow_that_cannot_be_rendered_or_fails_harms_nobody(ledger: str) -> None:
    async with ScriptedUpstream(then=failing) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.", "Be very brief.")
        messages = [{"role": "system", "content": "{{ tone }}"}]
        wants_more = {"name": "support", "model": "gpt-5-mini", "messages": messages, "variables": {"tone": {}}}
        assert (await gw.admin("POST", "/admin/prompts", {"document": wants_more})).status == 201
        await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 1})
        await shadow(gw, 3)
        assert version_of(await ask(gw)) == 1
        await until_shadows(gw, "unusable", 1)
        await shadow(gw, 2)
        assert version_of(await ask(gw)) == 1
        await until_shadows(gw, "failed", 1)


RESPONSE = {
    "id": "resp_scripted",
    "object": "response",
    "status": "completed",
    "model": "gpt-5-mini",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}],
    "usage": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120},
}


async def test_a_shadow_stores_nothing_upstream(ledger: str) -> None:
    reply = Reply.of(RESPONSE)
    async with ScriptedUpstream(then=reply) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.", "Be very brief.")
        await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 1})
        await shadow(gw, 2)
        for fields, result in (({}, "answered"), ({"previous_response_id": "resp_1"}, "stateful")):
            body = json.dumps({"prompt": {"id": "support"}, "input": "hi", **fields}).encode()
            assert version_of(await gw.request("POST", "/v1/responses", body=body)) == 1
            await until_shadows(gw, result, 1)
    assert ["store" in request.json() for request in up.requests] == [False, True, False]
    assert up.requests[1].json()["store"] is False


async def test_a_shadow_of_another_model_goes_where_that_leads_if_its_price_is_known(ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.")
        for model in ("gpt-5-nano", "a-model-without-a-price"):
            messages = [{"role": "system", "content": "Be brief."}]
            body = {"document": {"name": "support", "model": model, "messages": messages}}
            assert (await gw.admin("POST", "/admin/prompts", body)).status == 201
        await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 1})
        for version, result in ((2, "answered"), (3, "no_price")):
            await shadow(gw, version)
            assert version_of(await ask(gw)) == 1
            await until_shadows(gw, result, 1)
    assert [request.json()["model"] for request in up.requests] == ["gpt-5-mini", "gpt-5-nano", "gpt-5-mini"]


async def test_a_share_of_the_requests_is_shadowed(ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(document(up.base_url, ledger)) as gw:
        await push(gw, "Be brief.", "Be very brief.")
        await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 1})
        await shadow(gw, 2, share=0.000_001)
        for _ in range(5):
            assert version_of(await ask(gw)) == 1
        await gw.admin("POST", "/admin/prompts/support/shadow", {"shadow": None})
        assert version_of(await ask(gw)) == 1
    assert len(up.requests) == 6
