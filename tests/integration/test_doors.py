"""Who gets in, what they may name, and what is passed through."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.support.gateway import RunningGateway, config, gateway
from tests.support.upstream import Raw, Reply, ScriptedUpstream, Stream, chat_body

ANSWER = Reply.of(chat_body("Hello."))
KEYS = [
    {"name": "bot", "key": "key-of-bot", "team": "support", "routes": ["support"], "passthrough": []},
    {"name": "lab", "key": "key-of-lab", "passthrough": ["/v1/audio/*"]},
    {"name": "all", "key": "key-of-all"},
]
ROUTES = [
    {"name": "support", "match": {"models": ["auto", "support-*"]}, "tier": "cheap"},
    {"name": "default", "upstream": "up"},
]


def guarded(url: str, **sections: Any) -> dict[str, Any]:
    return config(
        url,
        **{
            "auth": "required",
            "teams": [{"name": "support"}],
            "keys": KEYS,
            "tiers": {"cheap": ["up/gpt-5-nano"]},
            "routes": ROUTES,
            **sections,
        },
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/audio/speech"])
@pytest.mark.parametrize("key", [None, "wrong-key"])
async def test_without_a_key_nothing_is_served(path: str, key: str | None) -> None:
    async with ScriptedUpstream() as up, gateway(guarded(up.base_url)) as gw:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        method = "GET" if path == "/v1/models" else "POST"
        answer = await gw.request(method, path, body=b"{}" if method == "POST" else None, headers=headers)
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert answer.headers["x-should-retry"] == "false"
        assert "wrong-key" not in answer.body.decode()
        assert up.requests == []


async def test_a_key_is_held_to_its_routes() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(guarded(up.base_url)) as gw:
        assert (await gw.chat(key="key-of-bot", model="auto")).status == 200
        assert (await gw.chat(key="key-of-bot", model="gpt-5")).error["code"] == "model_not_found"
        assert (await gw.chat(key="key-of-bot", headers={"x-gateway-route": "default"})).status == 403
        named = await gw.chat(key="key-of-all", model="gpt-5", headers={"x-gateway-route": "support"})
        assert named.headers["x-gateway-route"] == "support"
        assert [seen.json()["model"] for seen in up.requests] == ["gpt-5-nano", "gpt-5-nano"]


async def test_under_passthrough_the_clients_own_key_goes_upstream() -> None:
    document = config("", auth="passthrough")
    async with ScriptedUpstream(ANSWER) as up:
        document["upstreams"]["up"]["base_url"] = up.base_url
        async with gateway(document) as gw:
            assert (await gw.chat()).status == 401
            assert (await gw.chat(key="sk-of-the-client")).status == 200
            assert up.requests[0].header("Authorization") == "Bearer sk-of-the-client"


# ------------------------------------------------------------------ models


async def test_models_are_the_aliases_and_what_the_upstream_lists() -> None:
    listed = [{"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in ("gpt-5", "support-1")]
    lists = Reply.of({"object": "list", "data": listed})
    async with ScriptedUpstream(then=lists) as up, gateway(guarded(up.base_url)) as gw:
        auth = {"Authorization": "Bearer key-of-all"}
        models = (await gw.request("GET", "/v1/models", headers=auth)).json()
        assert [model["id"] for model in models["data"]] == ["auto", "gpt-5"]  # support-1 would take another route
        assert (await gw.request("GET", "/v1/models/gpt-5", headers=auth)).json() == listed[0]
        absent = await gw.request("GET", "/v1/models/gpt-9", headers=auth)
        assert (absent.status, absent.error["code"]) == (404, "model_not_found")
        bot = await gw.request("GET", "/v1/models", headers={"Authorization": "Bearer key-of-bot"})
        assert [model["id"] for model in bot.json()["data"]] == ["auto"]


@pytest.mark.parametrize("step", [Raw(b""), Reply(200, b"<html>"), Reply.of({"data": [{"id": 1}, 2]}), Reply.of([])])
async def test_an_upstream_that_lists_nothing_usable_leaves_the_aliases(step: Raw | Reply) -> None:
    async with ScriptedUpstream(step) as up, gateway(guarded(up.base_url)) as gw:
        models = await gw.request("GET", "/v1/models", headers={"Authorization": "Bearer key-of-all"})
        assert [model["id"] for model in models.json()["data"]] == ["auto"]


# ------------------------------------------------------------------ pass-through


async def test_bodies_pass_both_ways_untouched() -> None:
    step = Reply(
        201, b"\x00\x01audio", (("Content-Type", "audio/mpeg"), ("openai-version", "1"), ("Set-Cookie", "a=b"))
    )
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url)) as gw:
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Accept-Encoding": "br"}
        answer = await gw.request("POST", "/v1/audio/speech?a=1&b=%2F", body=b"--x\r\n\xff", headers=headers)
        seen = up.requests[0]
        assert (seen.method, seen.path, seen.body) == ("POST", "/v1/audio/speech?a=1&b=%2F", b"--x\r\n\xff")
        assert seen.header("Authorization") == "Bearer upstream-secret"
        assert seen.header("Content-Type") == "multipart/form-data; boundary=x"
        assert (answer.status, answer.body) == (201, b"\x00\x01audio")
        assert answer.headers["openai-version"] == "1"
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
async def test_every_method_passes(method: str) -> None:
    async with ScriptedUpstream(Reply.of({"ok": True})) as up, gateway(config(up.base_url)) as gw:
        assert (await gw.request(method, "/v1/files/file-1")).json() == {"ok": True}
        assert (up.requests[0].method, up.requests[0].path) == (method, "/v1/files/file-1")


async def test_what_is_passed_through_is_not_gathered_up_first() -> None:
    go_on = asyncio.Event()
    step = Stream([b"one", go_on, b"two"], headers=(("Content-Type", "application/octet-stream"),))
    async with (
        ScriptedUpstream(step) as up,
        gateway(config(up.base_url)) as gw,
        gw.http.get(gw.url + "/v1/files/f/content") as response,
    ):
        assert await response.content.readany() == b"one"
        go_on.set()
        assert await response.content.read() == b"two"


async def test_a_pass_through_that_breaks_off_does_not_look_finished() -> None:
    step = Stream([b"one"], cut=True, headers=(("Content-Type", "application/octet-stream"),))
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url)) as gw:
        with pytest.raises(aiohttp.ClientError):
            await gw.request("GET", "/v1/files/f/content")


async def test_only_listed_paths_pass_for_a_key_with_a_list() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(guarded(up.base_url)) as gw:
        lab, bot = ({"Authorization": f"Bearer key-of-{name}"} for name in ("lab", "bot"))
        assert (await gw.request("POST", "/v1/audio/speech", body=b"{}", headers=lab)).status == 200
        assert (await gw.request("POST", "/v1/files", body=b"{}", headers=lab)).status == 403
        assert (await gw.request("POST", "/v1/audio/speech", body=b"{}", headers=bot)).status == 403
        assert len(up.requests) == 1


async def raw_status(gw: RunningGateway, target: str) -> int:
    """The status of a GET whose request line no client library has tidied up."""
    host, port = gw.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize(
    "target",
    [
        "/v1/../admin",
        "/v1/./files",
        "/v1/%2e%2e/admin",
        "/v1/files/%2E%2E/x",
        "/v1/a%2fb",
        "/v1/a%5cb",
        "/v1/a%00b",
        "/v1//evil.example/x",
        "/v1/a\\b",
        "/v1/%252e%252e/x",
        "/v1/",
        "/admin",
        "//v1/models",
        "/V1/models",
    ],
)
async def test_a_path_with_a_trick_in_it_goes_nowhere(target: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url)) as gw:
        assert await raw_status(gw, target) in (400, 404)
        assert up.requests == []


async def test_an_unknown_path_is_openais_404() -> None:
    async with ScriptedUpstream() as up, gateway(config(up.base_url)) as gw:
        answer = await gw.request("GET", "/nowhere")
        assert (answer.status, answer.error["code"]) == (404, "not_found")


async def test_probes_answer_on_the_admin_port() -> None:
    async with ScriptedUpstream() as up, gateway(config(up.base_url)) as gw:
        for path in ("/healthz", "/readyz", "/metrics"):
            async with gw.http.get(gw.admin_url + path) as response:
                assert response.status == 200
        assert await gw.metric("gateway_store_up") == 1
