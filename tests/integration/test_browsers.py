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


# ------------------------------------------------------------------ a page whose name resolves to loopback

OWN = ["localhost:8080", "LOCALHOST", "app.localhost", "127.0.0.1:1", "[::1]:8080", "10.0.0.7", "gateway.internal:80"]
FOREIGN_HOSTS = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "localhost."]


def local(url: str, **sections: Any) -> dict[str, Any]:
    document = config(url, **sections)
    document["server"]["hosts"] = ["Gateway.internal"]
    return document


async def test_without_keys_loopback_is_read_under_its_own_names_only() -> None:
    async with ScriptedUpstream(then=Reply.of({})) as up, gateway(local(up.base_url)) as gw:
        for host in OWN:
            assert (await gw.request("GET", "/v1/files", headers={"Host": host})).status == 200, host
        asked = len(up.requests)
        for host in FOREIGN_HOSTS:
            answer = await gw.request("GET", "/v1/files", headers={"Host": host})
            assert (answer.status, answer.error["code"]) == (403, "permission_denied"), host
            assert "server.hosts" in answer.error["message"]
            assert (await gw.request("GET", "/healthz", headers={"Host": host})).status == 200
        assert len(up.requests) == asked


async def test_where_a_key_is_asked_for_or_all_may_come_any_name_will_do() -> None:
    keys = [{"name": "bot", "key": "key-of-a-bot"}]
    closed: dict[str, Any] = {"auth": "required", "keys": keys}
    for sections in (closed, {"allow_open": True}):
        async with ScriptedUpstream(then=Reply.of({})) as up, gateway(local(up.base_url, **sections)) as gw:
            headers = {"Host": "gateway.example.com", "Authorization": "Bearer key-of-a-bot"}
            assert (await gw.request("GET", "/v1/files", headers=headers)).status == 200


async def test_the_admin_port_on_loopback_is_read_under_its_own_names_only() -> None:
    async with ScriptedUpstream() as up, gateway(local(up.base_url)) as gw:
        for path, status in (("/metrics", 403), ("/admin/status", 403), ("/ui", 403), ("/healthz", 200)):
            async with gw.http.get(gw.admin_url + path, headers={"Host": "evil.example:8081"}) as response:
                assert response.status == status, path
        async with gw.http.get(gw.admin_url + "/metrics", headers={"Host": "localhost:8081"}) as response:
            assert response.status == 200


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("none", 200), (None, 200)])
async def test_without_keys_what_a_page_only_shows_or_links_to_is_refused(site: str | None, status: int) -> None:
    async with ScriptedUpstream(then=Reply.of({})) as up, gateway(keyless(url=up.base_url)) as gw:
        headers = {} if site is None else {"Sec-Fetch-Site": site}
        assert (await gw.request("GET", "/v1/files", headers=headers)).status == status
        assert len(up.requests) == (status == 200)
