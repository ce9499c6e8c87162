"""Cross-origin requests of browsers (WHATWG Fetch, 3.2): preflights, and what a page may read.

Nothing of it happens for origins that the configuration does not name; their requests are served
like any other, and the browser keeps the answer from the page.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.server.keys import LIVE

_PREFLIGHT_AGE_S = 7200
"""What Chromium allows at most."""


@web.middleware
async def answer_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A preflight carries no credentials and must not need any; it never reaches a handler."""
    is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not is_preflight or allowed_origin(request) is None:
        return await handler(request)
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
            "Access-Control-Max-Age": str(_PREFLIGHT_AGE_S),
        },
    )


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page read the answer and all its headers; a signal, since streams are prepared inside handlers."""
    origin = allowed_origin(request)
    if origin is None:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "*"
    response.headers.add("Vary", "Origin")


def allowed_origin(request: web.Request) -> str | None:
    """The origin of `request`, if the configuration names it."""
    origins = request.app[LIVE].gateway.config.server.cors.origins
    origin = request.headers.get("Origin")
    return origin if origin is not None and (origin in origins or "*" in origins) else None
