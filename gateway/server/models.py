"""/v1/models: what this key may name."""

from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from gateway.server.client import SERVER_HEADER
from gateway.server.keys import LIVE
from gateway.wire.headers import request_id


async def list_models(request: web.Request) -> web.Response:
    gateway = request.app[LIVE].gateway
    with gateway.use:
        models = await gateway.catalog.models(request.headers)
    return _json(request, {"object": "list", "data": models})


async def retrieve_model(request: web.Request) -> web.Response:
    gateway = request.app[LIVE].gateway
    with gateway.use:
        model = await gateway.catalog.model(request.match_info["id"], request.headers)
    return _json(request, model)


def _json(request: web.Request, document: dict[str, Any]) -> web.Response:
    headers = CIMultiDict(
        [SERVER_HEADER, ("Content-Type", "application/json"), ("x-request-id", request_id(request.headers))]
    )
    return web.Response(headers=headers, body=orjson.dumps(document))
