"""The inference endpoints on aiohttp: read, let the pipeline serve, done."""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.exchange import Incoming
from gateway.server.body import read_body
from gateway.server.client import AiohttpClient
from gateway.server.keys import LIVE
from gateway.wire.endpoint import Endpoint
from gateway.wire.headers import request_id

MB = 1 << 20


def handler_of(endpoint: Endpoint) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        live = request.app[LIVE]
        server = live.gateway.config.server
        received_s = live.gateway.clock.monotonic()
        body = await read_body(request, max_bytes=int(server.max_body_mb * MB), timeout_s=server.body_timeout_s)
        incoming = Incoming(request_id(request.headers), request.headers, body, received_s)
        client = AiohttpClient(request, write_timeout_s=server.write_timeout_s)
        gateway = live.gateway
        with gateway.use:
            await gateway.pipeline.serve(endpoint, incoming, client)
        return client.response or web.Response(status=499)  # it was gone before anything could be sent

    return handle
