"""The Realtime API's WebSockets through the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.support.gateway import config, gateway

REALTIME = "/v1/realtime?model=gpt-realtime"


@asynccontextmanager
async def realtime(seen: list[web.Request]) -> AsyncIterator[str]:
    """An upstream that echoes texts and bytes, and closes with 4001 when told `bye`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        if request.query.get("model") == "nobody":
            return web.Response(status=404)
        socket = web.WebSocketResponse(protocols=["realtime"])
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "bye":
                await socket.close(code=4001, message=b"as you wish")
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(f"heard {message.data}")
            else:
                await socket.send_bytes(message.data[::-1])
        return socket

    app = web.Application()
    app.router.add_get("/v1/realtime", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def guarded(url: str) -> dict[str, Any]:
    return config(url, auth="required", keys=[{"name": "app", "key": "key-of-app"}])


@pytest.mark.parametrize("is_browser", [True, False])
async def test_messages_pass_both_ways_and_closing_is_passed_on(is_browser: bool) -> None:
    seen: list[web.Request] = []
    headers = {} if is_browser else {"Authorization": "Bearer key-of-app"}
    protocols = ["realtime", *(["openai-insecure-api-key.key-of-app"] if is_browser else [])]
    async with realtime(seen) as url, gateway(guarded(url)) as gw:
        async with gw.http.ws_connect(gw.url + REALTIME, headers=headers, protocols=protocols) as socket:
            assert socket.protocol == "realtime"
            await socket.send_str("hello")
            assert (await socket.receive()).data == "heard hello"
            await socket.send_bytes(b"\x00\x01\x02")
            assert (await socket.receive()).data == b"\x02\x01\x00"
            await socket.send_str("bye")
            end = await socket.receive()
            assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 4001, "as you wish")
        assert seen[0].headers["Authorization"] == "Bearer upstream-secret"
        assert seen[0].headers["Sec-WebSocket-Protocol"] == "realtime"
        assert seen[0].query["model"] == "gpt-realtime"
        labels = {"route": "default", "endpoint": "websocket", "tier": "none", "model": "none", "code": "101"}
        await gw.until(lambda scrape: scrape("gateway_requests_total", **labels) == 1)


@pytest.mark.parametrize(
    ("target", "key", "status"), [(REALTIME, "wrong", 401), ("/v1/realtime?model=nobody", "key-of-app", 404)]
)
async def test_a_refusal_is_a_status(target: str, key: str, status: int) -> None:
    seen: list[web.Request] = []
    async with realtime(seen) as url, gateway(guarded(url)) as gw:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await gw.http.ws_connect(gw.url + target, headers={"Authorization": f"Bearer {key}"})
        assert caught.value.status == status


@pytest.mark.parametrize("auth", ["none", "required", "passthrough"])
async def test_only_named_pages_open_one(auth: str) -> None:
    seen: list[web.Request] = []
    page = "https://app.example.com"
    async with realtime(seen) as url:
        document = {
            **guarded(url),
            "auth": auth,
            "server": {"port": 0, "admin": {"port": 0}, "cors": {"origins": [page]}},
        }
        async with gateway(document) as gw:
            headers = {"Authorization": "Bearer key-of-app"}
            for origin in ("http://evil.example", "null"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await gw.http.ws_connect(gw.url + REALTIME, headers={**headers, "Origin": origin})
                assert caught.value.status == 403
            assert seen == []
            async with gw.http.ws_connect(gw.url + REALTIME, headers={**headers, "Origin": page}) as socket:
                await socket.send_str("hello")
                assert (await socket.receive()).data == "heard hello"


async def test_its_answer_names_no_software_but_the_gateway() -> None:
    seen: list[web.Request] = []
    async with realtime(seen) as url, gateway(config(url)) as gw:
        socket = await gw.http.ws_connect(gw.url + REALTIME)
        assert socket._response.headers.getall("Server") == ["llm-gateway"]
        await socket.close()


async def test_a_client_that_leaves_ends_the_upstreams_socket() -> None:
    seen: list[web.Request] = []
    async with realtime(seen) as url, gateway(config(url)) as gw:
        socket = await gw.http.ws_connect(gw.url + REALTIME)
        await socket.send_str("hello")
        await socket.receive()
        await socket.close()
        labels = {"route": "default", "endpoint": "websocket", "tier": "none", "model": "none", "code": "101"}
        await gw.until(lambda scrape: scrape("gateway_requests_total", **labels) == 1)
        assert await gw.metric("gateway_in_flight_requests") == 0
