"""What surrounds every handler: the cap on requests in flight, and the one place errors become responses."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from gateway.errors import BadRequest, GatewayError, NotFound
from gateway.server.client import SERVER_HEADER
from gateway.server.keys import IN_FLIGHT
from gateway.wire.errors import to_openai
from gateway.wire.headers import request_id

log = logging.getLogger(__name__)


@web.middleware
async def errors_to_openai(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever a handler raises, the client sees OpenAI's error object and never a traceback."""
    try:
        return await handler(request)
    except GatewayError as error:
        return error_response(request, error)
    except web.HTTPNotFound:
        return error_response(request, NotFound(f"Nothing is served under {request.method} {request.path[:200]}."))
    except web.HTTPException as error:
        return error_response(request, BadRequest(f"{error.status} {error.reason}"), status=error.status)
    except Exception:
        log.exception("%s %s failed inside the gateway", request.method, request.path[:200])
        return error_response(request, GatewayError("The gateway failed; its operator's log has the cause."))


async def hide_server(_: web.Request, response: web.StreamResponse) -> None:
    """A signal of both ports, since every answer passes it: that of a WebSocket and of a stream too."""
    name, value = SERVER_HEADER
    response.headers[name] = value


@web.middleware
async def limit_in_flight(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path == "/healthz":  # alive is alive, however busy
        return await handler(request)
    with request.app[IN_FLIGHT]:
        return await handler(request)


def error_response(request: web.BaseRequest, error: GatewayError, *, status: int | None = None) -> web.Response:
    """`error` as OpenAI's object; `status` where it is not the one that belongs to it."""
    own_status, headers, body = to_openai(error)
    pairs = [SERVER_HEADER, *headers, ("x-request-id", request_id(request.headers))]
    return web.Response(status=status or own_status, headers=CIMultiDict(pairs), body=body)
