"""The status page: /ui on the admin port, for people who look rather than scrape.

It shows what the admin API answers. Who signs in with the admin key gets a cookie that JavaScript cannot read and other
sites cannot send, good for reading and for nothing else: what changes something wants the key itself. The cookie
holds no secret but an end and a keyed hash of it, so that nothing has to be kept and a new admin key ends all of them.

Everything is served from here, and the page may load nothing from anywhere else.
"""

import hashlib
import hmac
import time
from importlib import resources

from aiohttp import web

from gateway.errors import NotFound

COOKIE = "gateway_ui"
SIGNED_IN_S = 12 * 3600
_MAX_FORM = 4096
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
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


class Sessions:
    """Makes and checks the cookies of one admin key."""

    def __init__(self, key: str) -> None:
        self._digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        self._mark_key = hmac.digest(self._digest, b"the status page's cookies", "sha256")

    def is_key(self, given: str) -> bool:
        return hmac.compare_digest(hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest(), self._digest)

    def begin(self, now: float) -> str:
        """`now` in Unix seconds."""
        end = str(int(now) + SIGNED_IN_S)
        return f"{end}.{self._mark(end)}"

    def holds(self, cookie: str, now: float) -> bool:
        end, _, mark = cookie.partition(".")
        if not hmac.compare_digest(mark.encode("utf-8", "replace"), self._mark(end).encode()):
            return False
        return int(end) > now  # a number: we have signed it

    def _mark(self, end: str) -> str:
        return hmac.digest(self._mark_key, end.encode("utf-8", "replace"), "sha256").hex()


_SESSIONS = web.AppKey("sessions", Sessions)


def serve_ui(app: web.Application, key: str | None) -> None:
    """Add the page to `app`; without an admin key it says that it is off."""
    if key is None:
        app.router.add_get("/ui", _off)
        return
    app[_SESSIONS] = Sessions(key)
    app.add_routes(
        [
            web.get("/ui", page),
            web.post("/ui/sign-in", sign_in),
            web.post("/ui/sign-out", sign_out),
            web.get("/ui/{name:page\\.css|page\\.js|icon\\.svg}", asset),
        ]
    )


def may_read(request: web.Request) -> bool:
    """Whether the request comes from the page, by somebody who has signed in, and changes nothing."""
    if request.method not in ("GET", "HEAD"):
        return False
    sessions, cookie = request.app.get(_SESSIONS), request.cookies.get(COOKIE)
    return sessions is not None and cookie is not None and sessions.holds(cookie, time.time())


async def _off(_: web.Request) -> web.Response:
    raise NotFound("The status page is off: set server.admin.key (for example ${GATEWAY_ADMIN_KEY}) to turn it on.")


async def page(request: web.Request) -> web.Response:
    return _file("page.html" if may_read(request) else "sign-in.html")


async def asset(request: web.Request) -> web.Response:
    return _file(request.match_info["name"])


async def sign_in(request: web.Request) -> web.Response:
    if _is_from_elsewhere(request) or (request.content_length or 0) > _MAX_FORM:
        return _file("sign-in.html", status=403)
    given = (await request.post()).get("key")
    sessions = request.app[_SESSIONS]
    if not isinstance(given, str) or not sessions.is_key(given.strip()):
        return _file("wrong-key.html", status=403)
    response = _to_page()
    response.set_cookie(
        COOKIE,
        sessions.begin(time.time()),
        max_age=SIGNED_IN_S,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return response


async def sign_out(request: web.Request) -> web.Response:
    response = _to_page()
    if not _is_from_elsewhere(request):
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=request.secure)
    return response


def _to_page() -> web.Response:
    """303, so that the form is not sent again."""
    return web.Response(status=303, headers={**_HEADERS, "Location": "/ui"})


def _is_from_elsewhere(request: web.Request) -> bool:
    """Browsers say where a form was; what says nothing is no browser, and has no cookie to be misused."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")


def _file(name: str, *, status: int = 200) -> web.Response:
    kind = _TYPES[name.rpartition(".")[2]]
    return web.Response(status=status, body=(_FILES / name).read_bytes(), headers={**_HEADERS, "Content-Type": kind})
