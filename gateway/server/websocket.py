"""WebSockets, passed through message by message: OpenAI's Realtime API."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from gateway.app import Gateway
from gateway.config.model import Upstream
from gateway.errors import GatewayError
from gateway.exchange import Headers
from gateway.passthrough import SWITCHING_PROTOCOLS, Forward
from gateway.server.client import AiohttpClient
from gateway.upstream.websocket import HEARTBEAT_S, MAX_MESSAGE_BYTES, Refused, connect
from gateway.wire.errors import to_openai

_KEY_PROTOCOL = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket; OpenAI's Realtime API reference has them send the key like this."""

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


def is_websocket(request: web.Request) -> bool:
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"


async def pass_websocket(gateway: Gateway, request: web.Request, forward: Forward) -> web.StreamResponse:
    offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if part.strip()]
    client = AiohttpClient(request, write_timeout_s=gateway.config.server.write_timeout_s)
    tunnel = partial(
        _tunnel, request, client, forward, [name for name in offered if not name.startswith(_KEY_PROTOCOL)]
    )
    await gateway.passthrough.serve_websocket(forward, client, tunnel)
    return client.response or web.Response(status=499)


def headers_with_key(headers: Headers) -> Headers:
    """`headers` with the key that a browser sent as a subprotocol, where there is no Authorization."""
    if "Authorization" in headers:
        return headers
    for name in headers.get("Sec-WebSocket-Protocol", "").split(","):
        if name.strip().startswith(_KEY_PROTOCOL):
            key = name.strip().removeprefix(_KEY_PROTOCOL)
            return CIMultiDict([*headers.items(), ("Authorization", f"Bearer {key}")])
    return headers


async def _tunnel(
    request: web.Request,
    client: AiohttpClient,
    forward: Forward,
    protocols: Sequence[str],
    config: Upstream,
    headers: CIMultiDict[str],
    answered: Callable[[int], None],
) -> None:
    path = forward.path.removeprefix("/v1")
    try:
        async with connect(config, path, forward.query, headers, protocols) as remote:
            chosen = [remote.protocol] if remote.protocol else []
            local = web.WebSocketResponse(
                protocols=chosen, heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, autoclose=False
            )
            client.response = local
            await local.prepare(request)
            answered(SWITCHING_PROTOCOLS)
            await _join(local, remote)
    except Refused as refused:
        _, error_headers, body = to_openai(GatewayError(f"The model API refused the WebSocket ({refused.status})."))
        await client.answer(refused.status, error_headers, body)
        answered(refused.status)


async def _join(local: Socket, remote: Socket) -> None:
    """Pass messages both ways until either side closes or is gone; then close the other the same way."""
    pumps = [asyncio.create_task(_pump(a, b), name="websocket") for a, b in ((local, remote), (remote, local))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: Socket, sink: Socket) -> None:
    while True:
        message = await source.receive()
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        else:
            break
    reason = message.extra if isinstance(message.extra, str) else ""
    await sink.close(code=source.close_code or aiohttp.WSCloseCode.GOING_AWAY, message=reason.encode())
    await source.close()
