"""The status page: /ui on the admin port, for people who look rather than scrape.

It shows what the admin API answers. Who signs in with the admin key gets a cookie that JavaScript cannot read and other
sites cannot send, good for reading, and for two changes on the page of prompts: activating a version and rolling back.
Whatever else changes something wants the key itself. The cookie is a random id, good until its owner signs out, the
process ends or twelve hours are over (`sessions.py`).

Everything is served from here, and the page may load nothing from anywhere else.
"""

import logging
import time
from importlib import resources
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import AdminKeyInvalid, NotAllowed, NotFound, RateLimited
from gateway.server.admin_prompts import activate_prompt, rollback_prompt
from gateway.server.body import read_body
from gateway.server.sessions import MAX_FAILURES, SIGNED_IN_S, Failures, Sessions

log = logging.getLogger(__name__)

COOKIE = "gateway_ui"
_MAX_FORM_BYTES = 4096
_FORM_TIMEOUT_S = 10
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # under no-referrer our own forms would come with `Origin: null` (Fetch, 3.2)
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FILES = resources.files("gateway.server") / "page"
_WRONG_KEY = b'<p class="bad" role="alert">That is not the admin key.</p>\n  '

_SESSIONS = web.AppKey("sessions", Sessions)
_FAILURES = web.AppKey("failures", Failures)


def serve_ui(app: web.Application, key: str | None) -> None:
    """Add the page to `app`; without an admin key it says that it is off."""
    if key is None:
        app.router.add_get("/ui", _off)
        return
    app[_SESSIONS] = Sessions(key)
    app[_FAILURES] = Failures()
    app.add_routes(
        [
            web.get("/ui", page),
            web.post("/ui/sign-in", sign_in),
            web.post("/ui/sign-out", sign_out),
            web.get("/ui/{name:page\\.css|parts\\.js|page\\.js|prompts\\.js|icon\\.svg}", asset),
            web.get("/ui/prompts", prompts_page),
            web.post("/ui/prompts/{name}/labels/{label}/activate", _from_the_page(activate_prompt)),
            web.post("/ui/prompts/{name}/labels/{label}/rollback", _from_the_page(rollback_prompt)),
        ]
    )


def may_read(request: web.Request) -> bool:
    """Whether the request comes from the page, by somebody who has signed in, and changes nothing."""
    return request.method in ("GET", "HEAD") and _is_signed_in(request)


def _is_signed_in(request: web.Request) -> bool:
    sessions, cookie = request.app.get(_SESSIONS), request.cookies.get(COOKIE)
    return sessions is not None and cookie is not None and sessions.holds(cookie, time.monotonic())


def _from_the_page(change: Handler) -> Handler:
    """`change` for somebody who has signed in, from a page of this origin and nowhere else.

    The cookie is SameSite=Strict, which keeps other sites out, but not other ports and subdomains of this one: the
    browser has to say that it was us. And JSON is nothing that a form elsewhere could send without asking first.
    """

    async def handler(request: web.Request) -> web.StreamResponse:
        if not _is_signed_in(request):
            raise AdminKeyInvalid
        if not _is_from_here(request) or request.content_type != "application/json":
            raise NotAllowed(
                "With a session's cookie prompts are changed from the gateway's own page, and nowhere else."
            )
        return await change(request)

    return handler


async def prompts_page(request: web.Request) -> web.Response:
    return _answer("html", _file("prompts.html" if may_read(request) else "sign-in.html"))


async def _off(_: web.Request) -> web.Response:
    raise NotFound("The status page is off: set server.admin.key (for example ${GATEWAY_ADMIN_KEY}) to turn it on.")


async def page(request: web.Request) -> web.Response:
    return _answer("html", _file("page.html" if may_read(request) else "sign-in.html"))


async def asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    return _answer(name.rpartition(".")[2], _file(name))


async def sign_in(request: web.Request) -> web.Response:
    if _is_from_elsewhere(request):
        return _answer("html", _file("sign-in.html"), status=403)
    given = await _given_key(request)
    sessions, failures, now = request.app[_SESSIONS], request.app[_FAILURES], time.monotonic()
    if wait_s := failures.wait_s(now):
        raise RateLimited("the status page", f"{MAX_FAILURES} wrong keys per minute", retry_after_s=wait_s)
    if given is None or not sessions.is_key(given):
        failures.add(now)
        log.warning("a sign-in to the status page failed: wrong admin key, from %s", request.remote)
        page = _file("sign-in.html").replace(b"<form", _WRONG_KEY + b"<form", 1)
        return _answer("html", page, status=403)
    response = _to_page()
    response.set_cookie(
        COOKIE,
        sessions.begin(now),
        max_age=SIGNED_IN_S,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return response


async def _given_key(request: web.Request) -> str | None:
    """The key in a form as our page sends it, whatever the request calls it; None where there is none."""
    body = await read_body(request, max_bytes=_MAX_FORM_BYTES, timeout_s=_FORM_TIMEOUT_S)
    given = parse_qs(body.decode("utf-8", "replace")).get("key")
    return given[0].strip() if given else None


async def sign_out(request: web.Request) -> web.Response:
    response = _to_page()
    if not _is_from_elsewhere(request):
        request.app[_SESSIONS].end(request.cookies.get(COOKIE, ""))
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=request.secure)
    return response


def _to_page() -> web.Response:
    """303, so that the form is not sent again."""
    return web.Response(status=303, headers={**_HEADERS, "Location": "/ui"})


def _is_from_here(request: web.Request) -> bool:
    """Whether a browser says so; see below for what it says when."""
    says = "Sec-Fetch-Site" in request.headers or "Origin" in request.headers
    return says and request.headers.get("Sec-Fetch-Site") != "none" and not _is_from_elsewhere(request)


def _is_from_elsewhere(request: web.Request) -> bool:
    """Browsers say where a form was; what says nothing is no browser, and has no cookie to be misused.

    Without TLS and off loopback they send no Sec-Fetch-Site, but with every form an Origin. Its scheme is not compared:
    a proxy may have taken the TLS off.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2].lower() != request.host.lower()


def _file(name: str) -> bytes:
    return (_FILES / name).read_bytes()


def _answer(kind: str, body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=body, headers={**_HEADERS, "Content-Type": _TYPES[kind]})
