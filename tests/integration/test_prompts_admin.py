"""The admin API of prompts: what it takes, what it refuses, and who hears of a change."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.migrations.upgrade import upgrade
from tests.support.gateway import ADMIN_KEY, RunningGateway, config
from tests.support.gateway import gateway as running

SAYS = {"name": "bot", "messages": [{"role": "system", "content": "Be brief."}]}


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    upgrade(url)
    return url


@asynccontextmanager
async def prompted(ledger: str) -> AsyncIterator[RunningGateway]:
    """Nothing is asked of its upstream here."""
    server = {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}}
    async with running(config("http://127.0.0.1:9", server=server, ledger=ledger)) as gw:
        yield gw


async def post(gw: RunningGateway, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await gw.admin("POST", "/admin/prompts" + path, body)
    assert answer.status == status, answer.body
    return dict(answer.json())


async def get(gw: RunningGateway, path: str) -> dict[str, Any]:
    answer = await gw.admin("GET", "/admin/prompts" + path)
    assert answer.status == 200, answer.body
    return dict(answer.json())


def saying(text: str) -> dict[str, Any]:
    return {**SAYS, "messages": [{"role": "system", "content": text}]}


async def test_a_prompt_is_pushed_labelled_split_and_rolled_back(ledger: str) -> None:
    async with prompted(ledger) as gw:
        first = await post(gw, "", 201, document=saying("One."), label="production", author="ann")
        assert (first["version"], first["status"]) == (1, "created")
        assert (await post(gw, "", 200, document=saying("One.")))["status"] == "unchanged"
        await post(gw, "", 201, document=saying("Two."), author="bob")
        production = "/bot/labels/production"
        assert await post(gw, f"{production}/activate", version=2, author="bob") == {
            "name": "bot",
            "id": first["id"],
            "label": "production",
            "versions": [{"version": 2, "weight": 1}],
            "sticky_by": None,
        }
        arms = [{"version": 2, "weight": 9}, {"version": 1, "weight": 1}]
        split = await post(gw, f"{production}/split", versions=arms, sticky_by="conversation")
        assert (split["versions"], split["sticky_by"]) == ([arms[1], arms[0]], "conversation")
        assert (await post(gw, f"{production}/stop"))["versions"] == [{"version": 2, "weight": 1}]
        assert (await post(gw, f"{production}/rollback", expected=2))["versions"] == [{"version": 1, "weight": 1}]
        await post(gw, f"{production}/rollback", 409, expected=2)
        shadowed = await post(gw, "/bot/shadow", shadow={"version": 2, "share": 0.1, "usd_per_day": 2.0})
        assert shadowed["shadow"] == {"version": 2, "share": 0.1, "usd_per_day": 2.0}
        assert (await post(gw, f"/{first['id']}/shadow", shadow=None))["shadow"] is None
        shown = await get(gw, "/bot")
        assert (shown["newest"], list(shown["labels"])) == (2, ["production"])
        assert (await get(gw, "/bot/versions/production"))["document"] == saying("One.")
        assert (await get(gw, "/bot/versions/newest"))["version"] == 2
        assert [each["author"] for each in (await get(gw, "/bot/versions"))["versions"]] == ["ann", "bob"]
        page = await get(gw, "/bot/audit?limit=3")
        assert [each["action"] for each in page["changes"]] == ["shadow", "shadow", "rollback"]
        rest = (await get(gw, f"-audit?before={page['next']}"))["changes"]
        assert [each["action"] for each in rest] == ["stop", "split", "activate", "push", "activate", "push"]
        assert (await post(gw, "/bot/archive"))["archived_at"] is not None
        assert (await post(gw, "/bot/restore"))["archived_at"] is None


async def test_prompts_are_listed_in_pages(ledger: str) -> None:
    async with prompted(ledger) as gw:
        for name in ("c", "a", "b"):
            await post(gw, "", 201, document={**SAYS, "name": name}, label="production")
        page = await get(gw, "?limit=2")
        assert [each["name"] for each in page["prompts"]] == ["a", "b"]
        assert all(each["labels"]["production"]["versions"] for each in page["prompts"])
        rest = await get(gw, f"?limit=2&after={page['next']}")
        assert ([each["name"] for each in rest["prompts"]], rest["next"]) == (["c"], None)


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("", {}, 400, "document: Field required"),
        ("", {"document": {**SAYS, "mesages": []}}, 400, "document.mesages: expected a known field"),
        ("", {"document": {**SAYS, "name": "a b"}}, 400, "document.name: "),
        ("", {"document": {**SAYS, "name": "pmpt_1"}}, 400, "reads like an id"),
        ("", {"document": SAYS, "id": "prompt-1"}, 400, "id: "),
        ("", {"document": SAYS, "author": "a\nb"}, 400, "author: "),
        ("", {"document": {**SAYS, "parameters": {"x": "\ud83d"}}}, 400, "Invalid JSON"),
        ("/bot/labels/production/activate", {"version": "1"}, 400, "version: "),
        ("/bot/labels/production/activate", {"version": 7}, 404, "has no version 7; its newest is 1"),
        ("/bot/labels/Production/activate", {"version": 1}, 400, "lower-case letters"),
        ("/nobody/labels/production/activate", {"version": 1}, 404, "no prompt 'nobody'"),
        ("/%00/labels/production/activate", {"version": 1}, 404, "letters, digits"),
        ("/bot/labels/canary/rollback", {}, 404, "no label 'canary'; it has: production"),
        ("/bot/labels/production/rollback", {}, 409, "from the first"),
        ("/bot/labels/production/stop", {}, 409, "no split"),
        (
            "/bot/labels/production/split",
            {"versions": [{"version": 1, "weight": 1}]},
            400,
            "from 2 to 10 versions, not 1",
        ),
        ("/bot/labels/production/split", {"versions": [{"version": 1, "weight": 1}] * 2}, 400, "named twice"),
        ("/bot/shadow", {}, 400, "shadow: Field required"),
        ("/bot/shadow", {"shadow": {"version": 1, "share": 0}}, 400, "shadow.share: "),
    ],
)
async def test_what_cannot_be_done_is_told(
    ledger: str, path: str, body: dict[str, Any], status: int, told: str
) -> None:
    async with prompted(ledger) as gw:
        await post(gw, "", 201, document=SAYS, label="production")
        answer = await gw.admin("POST", "/admin/prompts" + path, body)
        assert answer.status == status
        assert told in answer.error["message"]


async def test_without_the_database_nothing_changes_and_the_gauge_tells_its_age(ledger: str) -> None:
    async with prompted(ledger) as gw:
        await post(gw, "", 201, document=saying("One."), label="production")
        await post(gw, "", 201, document=saying("Two."))
        await gw.until(lambda scrape: scrape("gateway_prompt_versions") == 2)
        with sqlite3.connect(ledger.removeprefix("sqlite:///")) as database:
            database.execute("ALTER TABLE prompts_version RENAME TO away")
        await gw.until(lambda scrape: scrape("gateway_prompts_age_seconds") > 1)
        answer = await gw.admin("POST", "/admin/prompts/bot/labels/production/activate", {"version": 2})
        assert (answer.status, answer.error["code"]) == (503, "database_unavailable")
        assert await gw.metric("gateway_prompts") == 1
        with sqlite3.connect(ledger.removeprefix("sqlite:///")) as database:
            database.execute("ALTER TABLE away RENAME TO prompts_version")
        await gw.until(lambda scrape: scrape("gateway_prompts_age_seconds") < 1)


async def test_a_change_is_known_where_it_was_made_when_it_is_answered(ledger: str) -> None:
    async with prompted(ledger) as gw:
        for number in range(1, 4):
            await post(gw, "", 201, document=saying(f"{number}."))
            assert await gw.metric("gateway_prompt_versions") == number


async def test_a_reload_goes_on_with_the_prompts_it_knows(ledger: str) -> None:
    async with prompted(ledger) as gw:
        await post(gw, "", 201, document=SAYS)
        await gw.reload(config("http://127.0.0.1:9", ledger=ledger, auth="none"))
        assert await gw.metric("gateway_prompts") == 1
        await post(gw, "", 201, document={**SAYS, "name": "another"})
        assert await gw.metric("gateway_prompts") == 2


async def test_two_replicas_that_push_at_once_make_a_version_each(ledger: str) -> None:
    async with prompted(ledger) as one, prompted(ledger) as other:
        texts = [f"{number}." for number in range(8)]
        answers = await asyncio.gather(
            *(post(gw, "", 201, document=saying(text)) for text, gw in zip(texts, [one, other] * 4, strict=True))
        )
        assert sorted(answer["version"] for answer in answers) == list(range(1, 9))
        await other.until(lambda scrape: scrape("gateway_prompt_versions") == 8)


async def test_without_a_ledger_there_are_no_prompts() -> None:
    async with prompted("none") as gw:
        answer = await gw.admin("POST", "/admin/prompts", {"document": SAYS})
        assert answer.status == 404
        assert "`ledger`" in answer.error["message"]


async def test_nobody_sees_or_changes_prompts_without_the_admin_key(ledger: str) -> None:
    async with prompted(ledger) as gw:
        assert (await gw.admin("POST", "/admin/prompts", {"document": SAYS}, key=None)).status == 401
        assert (await gw.admin("GET", "/admin/prompts", key="another")).status == 401
