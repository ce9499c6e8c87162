"""Requests of web pages (WHATWG Fetch, 3.2): which are served, preflights, and what a page may read.

Browsers send a page's simple requests and WebSockets to any address without asking, loopback too, and keep at most the
answer from the page. Where a key is demanded the page has none; under `auth: none` the origin is all there is to go by.

The lane hands every request with an Origin to aiohttp, so this is on the road of all of them.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import NotAllowed
from gateway.server.keys import LIVE
from gateway.server.websocket import is_websocket

_PREFLIGHT_AGE_S = 7200
"""What Chromium allows at most."""


@web.middleware
async def refuse_foreign_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Under `auth: none`, requests of pages that are not named; WebSockets of these always, for lack of preflights."""
    if not _is_of_a_page(request) or allowed_origin(request) is not None:
        return await handler(request)
    if request.app[LIVE].gateway.config.auth == "none":
        raise NotAllowed(
            "This gateway asks for no key (auth: none), so it serves web pages only where its server.cors.origins "
            "names their origin, as in https://app.example.com."
        )
    if is_websocket(request):
        raise NotAllowed("WebSockets of web pages are served only where server.cors.origins names their origin.")
    return await handler(request)


def _is_of_a_page(request: web.Request) -> bool:
    """Whether a page of another origin sent it, as far as its browser says: what an image or a link asks for has no
    Origin, but a Sec-Fetch-Site."""
    if "Origin" in request.headers:
        return True
    return request.method in ("GET", "HEAD") and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


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
