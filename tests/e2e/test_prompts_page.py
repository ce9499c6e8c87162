"""The page of prompts in a real browser: read, compare, activate, roll back; and who else may not."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.migrations.upgrade import upgrade
from gateway.server.ui import COOKIE
from tests.e2e.test_status_page import sign_in
from tests.support.chromium import Page, chromium
from tests.support.gateway import ADMIN_KEY, RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

SHOTS = os.environ.get("SHOTS")
"""A folder for screenshots, for people who change the page."""
HOSTILE = "<img src=x onerror=document.title='gone'>"
ANSWER = Reply.of(chat_body("Hello.", usage=usage(100, 20)))
LABEL = "/ui/prompts/support/labels/production"


@asynccontextmanager
async def served(folder: Path, *, requests: int = 0) -> AsyncIterator[RunningGateway]:
    """Two versions, the first of them in production, and some requests to each."""
    url = f"sqlite:///{folder}/ledger.db"
    await asyncio.to_thread(upgrade, url)
    sections: dict[str, Any] = {
        "server": {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}},
        "ledger": url,
        "prices": {"gpt-5-mini": {"input": 0.25, "output": 2.0}},
    }
    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url, **sections)) as gw:
        for text in (f"Be brief. {HOSTILE}", "Be very brief."):
            messages = [{"role": "system", "content": text}, {"role": "user", "content": "Now."}]
            body = {"document": {"name": "support", "model": "gpt-5-mini", "messages": messages}, "author": HOSTILE}
            assert (await gw.admin("POST", "/admin/prompts", body)).status == 201
        await activated(gw, 1)
        asked = [chat(version) for version in ("1", "2") for _ in range(requests)]
        await asyncio.gather(*(gw.request("POST", "/v1/chat/completions", body=body) for body in asked))
        await gw.until(lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
        yield gw


def chat(version: str) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    return json.dumps({"prompt": {"id": "support", "version": version}, "messages": messages}).encode()


async def activated(gw: RunningGateway, version: int) -> None:
    path = "/admin/prompts/support/labels/production/activate"
    assert (await gw.admin("POST", path, {"version": version})).status == 200


async def production(gw: RunningGateway) -> int:
    labels = (await gw.admin("GET", "/admin/prompts/support")).json()["labels"]
    return int(labels["production"]["versions"][0]["version"])


async def cells(page: Page, table: str) -> list[list[str]]:
    script = f"[...document.querySelectorAll('#{table} tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    found: list[list[str]] = await page.evaluate(script)
    return found


async def press(page: Page, table: str, row: int) -> None:
    """The button of a row; the question that follows is answered with yes."""
    found = f"document.querySelectorAll('#{table} tbody tr')[{row}].querySelector('button')"
    await page.evaluate(f"window.confirm = () => true; {found}.click()")


@pytest.mark.timeout(120)
async def test_a_version_is_read_compared_activated_and_rolled_back(tmp_path: Path) -> None:
    async with served(tmp_path, requests=120) as gw, chromium(tmp_path) as page:
        await page.size(1440, 900)
        await sign_in(page, gw.admin_url, ADMIN_KEY)
        await page.until("document.getElementById('routes') !== null")
        await page.open(f"{gw.admin_url}/ui/prompts")
        await page.until("document.querySelector('#prompts tbody a') !== null")
        [row] = await cells(page, "prompts")
        assert (row[0], row[2], row[3]) == ("support", "2", "production: 1")

        await page.evaluate("document.querySelector('#prompts tbody a').click()")
        await page.until("document.querySelectorAll('#versions tbody tr').length === 2 && $('text').textContent")
        newest, oldest = await cells(page, "versions")
        assert (newest[0], newest[4], newest[1]) == ("2", "120", "Activate")
        assert (oldest[0], oldest[4], oldest[1]) == ("1", "120", "in production")
        cost = 120 * (100 * 250 + 20 * 2_000)
        assert await page.evaluate("document.querySelector('#versions [data-nanousd]').dataset.nanousd") == str(cost)
        text = await page.evaluate(
            "[...document.querySelectorAll('#text span')].map(s => s.className + ' ' + s.textContent)"
        )
        assert f"removed Be brief. {HOSTILE}\n" in text
        assert "added Be very brief.\n" in text
        assert "same Now.\n" in text
        await page.until("$('verdict').textContent.includes('No difference seen in tokens in, tokens out, cost')")
        assert "not enough yet: 50 more and 50 more" in str(await cells(page, "comparison"))

        await press(page, "versions", 0)
        await page.until("document.getElementById('done').textContent === 'support: production is 2 now.'")
        assert await production(gw) == 2
        await page.until("document.querySelectorAll('#versions tbody tr')[0].cells[1].textContent === 'in production'")
        await press(page, "labels", 0)
        await page.until("document.getElementById('done').textContent === 'support: production is 1 now.'")
        assert await production(gw) == 1
        await activated(gw, 2)  # somebody else, meanwhile
        await press(page, "labels", 0)
        await page.until("document.getElementById('problem').textContent.includes('somebody moved it')")
        assert [row[1] for row in await cells(page, "labels")] == ["2"], "and what stands there now is shown"
        assert await production(gw) == 2

        assert await page.evaluate("document.title") == "LLM gateway: prompts"
        assert await page.evaluate("document.querySelectorAll('img').length") == 0
        assert [said for said in page.complaints if "409" not in said] == []
        await look(page)
        [first, *_] = (await gw.admin("GET", "/admin/prompts/support/audit")).json()["changes"][1:]
        assert (first["action"], first["author"]) == ("rollback", "status page")


async def look(page: Page) -> None:
    """On a wide and a narrow window nothing sticks out; and for people, pictures of both."""
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light")):
        await page.size(width, 900)
        await page.scheme(scheme)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        if SHOTS:
            (Path(SHOTS) / f"prompts-{width}-{scheme}.png").write_bytes(await page.shot())


# ------------------------------------------------------------------ who may not

HERE: dict[str, str] = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    ("headers", "cookie", "status"),
    [
        (HERE, True, 200),
        ({"Origin": "{url}"}, True, 200),
        (HERE, False, 401),
        ({}, True, 403),
        ({"Sec-Fetch-Site": "same-site"}, True, 403),
        ({"Sec-Fetch-Site": "cross-site"}, True, 403),
        ({"Sec-Fetch-Site": "none"}, True, 403),
        ({"Origin": "http://evil.example"}, True, 403),
        ({"Origin": "null"}, True, 403),
        ({**HERE, "Content-Type": "text/plain"}, True, 403),
        ({**HERE, "Content-Type": "application/x-www-form-urlencoded"}, True, 403),
        ({"Authorization": f"Bearer {ADMIN_KEY}", **HERE}, False, 401),
    ],
)
async def test_only_the_page_itself_changes_prompts(
    tmp_path: Path, headers: dict[str, str], cookie: bool, status: int
) -> None:
    async with served(tmp_path) as gw, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        async with http.post(f"{gw.admin_url}/ui/sign-in", data={"key": ADMIN_KEY}, allow_redirects=False) as answer:
            session = answer.headers["Set-Cookie"].partition(";")[0]
            assert session.startswith(COOKIE)
        sent = {name: value.format(url=gw.admin_url) for name, value in headers.items()}
        sent = {"Content-Type": "application/json", **sent, **({"Cookie": session} if cookie else {})}
        async with http.post(f"{gw.admin_url}{LABEL}/activate", data=b'{"version": 2}', headers=sent) as answer:
            assert answer.status == status, await answer.text()
        assert await production(gw) == (2 if status == 200 else 1)


async def test_who_has_not_signed_in_sees_the_door(tmp_path: Path) -> None:
    async with served(tmp_path) as gw, gw.http.get(f"{gw.admin_url}/ui/prompts") as answer:
        page = await answer.text()
    assert "Admin key" in page
    assert "support" not in page


@pytest.mark.parametrize("path", ["/ui/prompts", "/ui/parts.js", "/ui/prompts.js"])
async def test_everything_comes_with_a_strict_policy_and_from_here(path: str, tmp_path: Path) -> None:
    async with served(tmp_path) as gw, gw.http.get(gw.admin_url + path) as answer:
        body = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "://" not in body
    assert "innerHTML" not in body
