"""Every other path under /v1 on aiohttp."""

from aiohttp import web

from gateway.app import Gateway
from gateway.passthrough import Forward
from gateway.server.client import AiohttpClient
from gateway.server.keys import LIVE
from gateway.server.websocket import headers_with_key, is_websocket, pass_websocket
from gateway.wire.headers import request_id


async def pass_through(request: web.Request) -> web.StreamResponse:
    gateway = request.app[LIVE].gateway
    path, _, query = request.raw_path.partition("?")
    forward = Forward(
        request_id=request_id(request.headers),
        method=request.method,
        path=path,
        query=query,
        headers=headers_with_key(request.headers) if is_websocket(request) else request.headers,
        body=request.content.iter_any() if request.body_exists else None,
        received_s=gateway.clock.monotonic(),
    )
    with gateway.use:
        return await _serve(gateway, request, forward)


async def _serve(gateway: Gateway, request: web.Request, forward: Forward) -> web.StreamResponse:
    if is_websocket(request):
        return await pass_websocket(gateway, request, forward)
    client = AiohttpClient(request, write_timeout_s=gateway.config.server.write_timeout_s)
    await gateway.passthrough.serve(forward, client)
    return client.response or web.Response(status=499)
