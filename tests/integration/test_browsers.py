"""Pages in browsers: allowed where the configuration names their origin."""

from typing import Any

import pytest

from tests.support.gateway import CHAT, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks

PAGE = "https://app.example.com"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, x-stainless-lang",
}


def open_to(*origins: str, url: str) -> dict[str, Any]:
    document = config(url, auth="required", keys=[{"name": "page", "key": "key-of-page"}])
    document["server"]["cors"] = {"origins": list(origins)}
    return document


async def test_a_preflight_of_a_named_page_is_answered_without_a_key() -> None:
    async with ScriptedUpstream() as up, gateway(open_to(PAGE, url=up.base_url)) as gw:
        answer = await gw.request("OPTIONS", "/v1/chat/completions", headers=PREFLIGHT)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-stainless-lang"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


async def test_the_page_may_read_answers_streams_and_errors() -> None:
    steps: list[Reply | Stream] = [Reply.of(chat_body("Hello.")), Stream.of(*chat_chunks("Hello."))]
    async with ScriptedUpstream(*steps) as up, gateway(open_to("*", url=up.base_url)) as gw:
        for key, stream, status in (("key-of-page", False, 200), ("key-of-page", True, 200), ("wrong-key", False, 401)):
            answer = await gw.chat(key=key, stream=stream, headers={"Origin": PAGE})
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert answer.headers["Access-Control-Expose-Headers"] == "*"


async def test_no_page_is_allowed_that_is_not_named() -> None:
    async with ScriptedUpstream(Reply.of(chat_body("Hello."))) as up, gateway(open_to(url=up.base_url)) as gw:
        answer = await gw.chat(key="key-of-page", headers={"Origin": PAGE})
        assert answer.status == 200
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        assert (await gw.request("OPTIONS", "/v1/chat/completions", headers=PREFLIGHT)).status == 401


# ------------------------------------------------------------------ where no key is asked for

FOREIGN = "http://evil.example"
SIMPLE = {"Content-Type": "text/plain"}
"""What a browser sends to another site without a preflight."""


def keyless(*origins: str, url: str) -> dict[str, Any]:
    document = config(url)
    document["server"]["cors"] = {"origins": list(origins)}
    return document


@pytest.mark.parametrize("origin", [FOREIGN, "null", "", "https://app.example.com.evil.example", "file://"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", CHAT), ("POST", "/v1/files"), ("GET", "/v1/models"), ("OPTIONS", CHAT), ("DELETE", "/v1/files/file-1")],
)
async def test_without_keys_other_pages_are_refused(method: str, path: str, origin: str) -> None:
    async with ScriptedUpstream() as up, gateway(keyless(PAGE, url=up.base_url)) as gw:
        headers = {**SIMPLE, "Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await gw.request(method, path, body=b"{}" if method == "POST" else None, headers=headers)
        assert answer.status == 403
        assert answer.error["code"] == "permission_denied"
        assert "server.cors.origins" in answer.error["message"]
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert up.requests == []


async def test_without_keys_named_pages_and_programs_are_served() -> None:
    replies = [Reply.of(chat_body("Hello."))] * 2
    async with ScriptedUpstream(*replies) as up, gateway(keyless(PAGE, url=up.base_url)) as gw:
        answer = await gw.chat(headers={"Origin": PAGE})
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
        assert (await gw.request("OPTIONS", CHAT, headers=PREFLIGHT)).status == 204
        assert (await gw.chat()).status == 200
