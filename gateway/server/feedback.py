"""`POST /v1/feedback`: what a client thinks of an answer."""

from aiohttp import web

from gateway.server.body import read_body
from gateway.server.json_answer import json_response
from gateway.server.keys import LIVE

_MAX_BYTES = 1 << 16


async def take_feedback(request: web.Request) -> web.Response:
    gateway = request.app[LIVE].gateway
    timeout_s = gateway.config.server.body_timeout_s
    body = await read_body(request, max_bytes=_MAX_BYTES, timeout_s=timeout_s)
    with gateway.use:
        return json_response(gateway.learning.feedback(request.headers, body), status=202)
