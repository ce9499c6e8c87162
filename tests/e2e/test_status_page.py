"""The status page in a real browser, before a real ledger; and what it answers to those who may not look."""

import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.demo import sample, shipped
from gateway.demo.drive import drive
from gateway.server.sessions import MAX_FAILURES, SIGNED_IN_S
from gateway.server.ui import COOKIE
from gateway.simulator.app import Simulator
from gateway.sql import Database
from tests.support.chromium import Page, chromium
from tests.support.gateway import ADMIN_KEY, RunningGateway, gateway
from tests.support.upstream import ScriptedUpstream

SHOTS = os.environ.get("SHOTS")
"""A folder for screenshots, for people who change the page."""
SAVED = "saved_cache_nanousd + saved_coalesced_nanousd + saved_tier_nanousd + saved_trim_nanousd"


def document(upstream_url: str, folder: Path) -> dict[str, Any]:
    return {
        "server": {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}},
        "ledger": f"sqlite:///{folder}/ledger.db",
        "upstreams": {"simulator": {"base_url": upstream_url}},
        "tiers": {"cheap": ["simulator/gpt-5-mini"], "expensive": ["simulator/gpt-5.2"]},
        "routes": [
            {
                "name": "support",
                "match": {"models": ["support-*"]},
                "tier": "auto",
                "tokens": {"max_prompt": 6000, "max_completion": 500, "default_completion": 500},
                "cache": {"share": "team"},
                "budgets": [{"usd": 0.05, "per": "day"}],
            },
            {"name": "default", "upstream": "simulator", "cache": {}},
        ],
        "teams": [{"name": "support", "budgets": [{"usd": 250, "per": "month"}]}],
        "keys": [
            {
                "name": "support-bot",
                "key": "support-bot-key",
                "team": "support",
                "routes": ["support"],
                "budgets": [{"usd": 10, "per": "day"}, {"tokens": 40_000, "per": "hour"}],
            },
            {"name": "product-app", "key": "product-app-key", "routes": ["default"]},
        ],
    }


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[RunningGateway]:
    """A gateway that has had some traffic, all of it in the ledger."""
    async with Simulator(keep_calls=0) as simulator, gateway(document(simulator.base_url, folder)) as gw:
        ways = sample.ways(gw.live.gateway.config)
        await drive(f"{gw.url}/v1", sample.waves(shipped.prompts(), ways, 60, random.Random(7)), lambda: None)
        await gw.chat(key="product-app-key", model="<img src=x onerror=document.title='gone'>")
        await gw.until(lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
        yield gw


async def sign_in(page: Page, url: str, key: str) -> None:
    await page.open(f"{url}/ui")
    await page.until("document.getElementById('key') !== null")
    script = f"document.getElementById('key').value = {json.dumps(key)}; document.forms[0].requestSubmit(); true"
    await page.evaluate(script)


SHOWN = (
    "Number(document.body.dataset.refreshed ?? 0) >= 1 && document.querySelectorAll('#requests tbody tr').length > 9"
)


@pytest.mark.timeout(150)
async def test_a_browser_shows_what_the_ledger_has_to_the_nano_dollar(tmp_path: Path) -> None:
    async with served(tmp_path) as gw, chromium(tmp_path) as page:
        await page.size(1440, 900)
        await sign_in(page, gw.admin_url, "not the admin key")
        assert await page.until("document.querySelector('.bad')?.textContent") == "That is not the admin key."
        await sign_in(page, gw.admin_url, ADMIN_KEY)
        await page.until(SHOWN)
        assert await page.evaluate("document.cookie") == "", "JavaScript must not see it"

        async with Database(gw.live.gateway.config.ledger) as database:
            [(cost, saved)] = await database.fetch(f"SELECT sum(cost_nanousd), sum({SAVED}) FROM ledger")
            routes = await database.fetch("SELECT route, sum(cost_nanousd) FROM ledger GROUP BY 1 ORDER BY 2 DESC")
            newest = await database.fetch("SELECT cost_nanousd FROM ledger ORDER BY at_ms DESC, writer DESC, seq DESC")
        assert cost > 0
        for period in ("today", "week"):
            assert await nanousd(page, f"#spent-{period}") == [cost]
            assert await nanousd(page, f"#saved-{period}") == [saved]
        assert await nanousd(page, "#routes tbody td:nth-child(2)") == [row[1] for row in routes]
        assert await nanousd(page, "#routes tfoot td:nth-child(2)") == [cost]
        shown = await nanousd(page, "#requests td:nth-child(3)")
        assert shown == [row[0] for row in newest[:25] if row[0]]
        assert await page.evaluate("document.getElementById('spent-today').title") == f"${cost / 10**9:.9f}"

        words = await page.evaluate("document.body.innerText")
        for word in ("support", "key support-bot, a day", "simulator", "well", "ready", "<img src=x", "unknown"):
            assert word in words
        for text in shipped.prompts():
            assert text.text not in words
        assert await page.evaluate("document.title") == "LLM gateway"
        assert await page.evaluate("document.querySelectorAll('img').length") == 0
        assert [said for said in page.complaints if "403" not in said] == []
        await look(page)

        await page.evaluate("document.querySelector('header button').click(); true")
        await page.until("document.getElementById('key') !== null")


async def nanousd(page: Page, where: str) -> list[int]:
    """The amounts that stand there, in the order of the page."""
    script = f"""[...document.querySelectorAll('{where}')]
        .flatMap(e => e.matches('[data-nanousd]') ? [e] : [...e.querySelectorAll('[data-nanousd]')])
        .map(e => e.dataset.nanousd)"""
    return [int(amount) for amount in await page.evaluate(script)]


async def look(page: Page) -> None:
    """On a wide and a narrow window nothing sticks out; and for people, pictures of both."""
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
        await page.size(width, 900)
        await page.scheme(scheme)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        if SHOTS:
            (Path(SHOTS) / f"{width}-{scheme}.png").write_bytes(await page.shot())


async def test_it_goes_on_by_itself(tmp_path: Path) -> None:
    async with served(tmp_path) as gw, chromium(tmp_path) as page:
        await sign_in(page, gw.admin_url, ADMIN_KEY)
        before = await page.until(f"{SHOWN} && document.querySelector('#routes tfoot td:nth-child(4)').textContent")
        await gw.chat(key="product-app-key", model="gpt-5.2", messages=[{"role": "user", "content": "Something new?"}])
        await page.until(f"document.querySelector('#routes tfoot td:nth-child(4)').textContent === '{int(before) + 1}'")


# ------------------------------------------------------------------ who may look


@asynccontextmanager
async def signed_in(gw: RunningGateway) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gw.admin_url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.post("/ui/sign-in", data={"key": ADMIN_KEY}, allow_redirects=False) as answer:
            assert answer.status == 303
            cookie = answer.headers["Set-Cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SIGNED_IN_S}"))
        assert ADMIN_KEY not in cookie
        yield http


def keyed(upstream_url: str) -> dict[str, Any]:
    return {
        "server": {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}},
        "auth": "none",
        "upstreams": {"up": {"base_url": upstream_url}},
        "routes": [{"name": "default", "upstream": "up"}],
    }


async def test_the_cookie_reads_and_changes_nothing() -> None:
    async with ScriptedUpstream() as upstream, gateway(keyed(upstream.base_url)) as gw, signed_in(gw) as http:
        async with http.get("/admin/status") as answer:
            assert answer.status == 200
        async with http.post("/admin/keys", json={"name": "mine"}) as answer:
            assert answer.status == 401
        async with http.post("/ui/sign-out", allow_redirects=False) as answer:
            assert answer.status == 303
        async with http.get("/admin/status") as answer:
            assert answer.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
    ],
)
async def test_a_form_on_another_site_signs_nobody_in(headers: dict[str, str]) -> None:
    async with ScriptedUpstream() as upstream, gateway(keyed(upstream.base_url)) as gw:
        url = f"{gw.admin_url}/ui/sign-in"
        async with gw.http.post(url, data={"key": ADMIN_KEY}, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 403
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/ui", "/ui/page.js", "/ui/page.css"])
async def test_everything_comes_with_a_strict_policy_and_from_here(path: str) -> None:
    async with gateway(keyed("http://127.0.0.1:1/v1")) as gw, gw.http.get(gw.admin_url + path) as answer:
        body = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in body
    assert "innerHTML" not in body


async def test_without_an_admin_key_there_is_no_page() -> None:
    open_to_all = {**keyed("http://127.0.0.1:1/v1"), "server": {"port": 0, "admin": {"port": 0}}}
    async with gateway(open_to_all) as gw:
        assert (await gw.admin("GET", "/ui")).status == 404
        assert (await gw.admin("POST", "/ui/sign-in")).status == 404


async def test_a_copied_cookie_is_worth_nothing_after_signing_out() -> None:
    async with gateway(keyed("http://127.0.0.1:1/v1")) as gw, signed_in(gw) as http:
        [copied] = [cookie.value for cookie in http.cookie_jar if cookie.key == COOKIE]
        headers = {"Cookie": f"{COOKIE}={copied}"}
        async with gw.http.get(f"{gw.admin_url}/admin/status", headers=headers) as answer:
            assert answer.status == 200
        async with http.post("/ui/sign-out", headers={"Origin": "http://evil.example"}, allow_redirects=False):
            pass
        async with gw.http.get(f"{gw.admin_url}/admin/status", headers=headers) as answer:
            assert answer.status == 200, "another site signs nobody out"
        async with http.post("/ui/sign-out", headers={"Origin": gw.admin_url}, allow_redirects=False):
            pass
        async with gw.http.get(f"{gw.admin_url}/admin/status", headers=headers) as answer:
            assert answer.status == 401


FORM = "application/x-www-form-urlencoded"
RIGHT = f"key={ADMIN_KEY}".encode()


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", RIGHT + b"x", 403),
        ("multipart/form-data; boundary=", b"--\r\n\r\n", 403),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n', 403),
        (f"{FORM}; charset=nope", b"key=x", 403),
        (f"{FORM}; charset=nope", RIGHT, 303),
        (FORM, b"\xff=%ff&key=%ff%00&&=;", 403),
        (FORM, b"", 403),
        (FORM, b"other=1", 403),
        (FORM, b"key=" + b"x" * 4093, 413),
        (FORM, RIGHT + b"&key=x", 303),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_any_form_is_answered(kind: str, body: bytes, status: int, is_chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    data = parts() if is_chunked else body
    async with gateway(keyed("http://127.0.0.1:1/v1")) as gw:
        url = f"{gw.admin_url}/ui/sign-in"
        async with gw.http.post(url, data=data, headers={"Content-Type": kind}, allow_redirects=False) as answer:
            assert answer.status == status
            assert ("Set-Cookie" in answer.headers) == (status == 303)


async def test_wrong_keys_are_told_to_the_log_and_end_in_a_wait(caplog: pytest.LogCaptureFixture) -> None:
    async with gateway(keyed("http://127.0.0.1:1/v1")) as gw:

        async def status_for(key: str) -> int:
            url = f"{gw.admin_url}/ui/sign-in"
            async with gw.http.post(url, data={"key": key}, allow_redirects=False) as answer:
                return answer.status

        assert [await status_for("a-guess") for _ in range(MAX_FAILURES)] == [403] * MAX_FAILURES
        assert await status_for(ADMIN_KEY) == 429
        assert (await gw.admin("GET", "/admin/status")).status == 200, "with the key itself nobody waits"
    lines = [record.getMessage() for record in caplog.records if "sign-in" in record.getMessage()]
    assert lines == ["a sign-in to the status page failed: wrong admin key, from 127.0.0.1"] * MAX_FAILURES


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1e2", "%D9%A3"])
async def test_a_wrong_number_of_requests_is_refused(limit: str, tmp_path: Path) -> None:
    document = {**keyed("http://127.0.0.1:1/v1"), "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    async with gateway(document) as gw:
        answer = await gw.admin("GET", f"/admin/requests?limit={limit}")
        assert answer.status == 400
        assert answer.error["param"] == "limit"
