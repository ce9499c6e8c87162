"""The admin port: probes and metrics for machines, and under /admin what operators ask and change.

Everything under /admin wants `server.admin.key` as a bearer token; without a configured key it is off. Reading is also
allowed to the status page (`ui.py`).
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

from gateway import __version__
from gateway.auth.identify import bearer
from gateway.config.check import is_loopback
from gateway.config.model import Config
from gateway.errors import AdminKeyInvalid, BadRequest, NotFound, StoreUnavailable
from gateway.server.admin_cache import serve_cache
from gateway.server.admin_figures import serve_figures
from gateway.server.admin_keys import serve_keys
from gateway.server.admin_overview import serve_overview
from gateway.server.admin_prompts import serve_prompts
from gateway.server.admin_spend import spend
from gateway.server.crew import CREW, Crew
from gateway.server.database import open_database
from gateway.server.hosts import refuse_foreign_hosts
from gateway.server.json_answer import json_response
from gateway.server.middleware import errors_to_openai, hide_server
from gateway.server.openapi import document
from gateway.server.probes import healthz, metrics, readyz
from gateway.server.strict import refuse_ambiguous
from gateway.server.ui import may_read, serve_ui
from gateway.wire import json_bytes

_MAX_BODY = 2 << 20
"""A version of a prompt has a megabyte at most, and something stands around it."""


def admin_app(crew: Crew, config: Config) -> web.Application:
    """What operators and their machines talk to, the same for one process and for several."""
    key, is_local = config.server.admin.key, is_loopback(config.server.admin.host)
    own_names = refuse_foreign_hosts(config.server.hosts, lambda request: is_local)
    app = web.Application(
        middlewares=[errors_to_openai, refuse_ambiguous, own_names, _guard(key)], client_max_size=_MAX_BODY
    )
    app.on_response_prepare.append(hide_server)
    app[CREW] = crew
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
            web.get("/admin/status", status),
            web.get("/admin/upstreams", asking("upstreams")),
            web.get("/admin/openapi.json", openapi),
            web.get("/admin/budgets", budgets),
            web.get("/admin/spend", spend),
            web.post("/admin/route/explain", explain),
        ]
    )
    open_database(app)
    serve_keys(app)
    serve_prompts(app)
    serve_cache(app)
    serve_overview(app)
    serve_figures(app)
    serve_ui(app, key.get_secret_value() if key else None)
    return app


def _guard(key: SecretStr | None) -> Middleware:
    expected = None if key is None else _digest(key.get_secret_value())

    @web.middleware
    async def demand_key(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/admin"):
            return await handler(request)
        if expected is None:
            raise NotFound(
                "The admin API is off: set server.admin.key (for example ${GATEWAY_ADMIN_KEY}) to turn it on."
            )
        if may_read(request):
            return await handler(request)
        secret = bearer(request.headers)
        if secret is None or not hmac.compare_digest(_digest(secret), expected):
            raise AdminKeyInvalid
        return await handler(request)

    return demand_key


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def asking(question: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that shows what every process answers to `question`, one list item each."""

    async def ask(request: web.Request) -> web.Response:
        return json_response({"processes": await request.app[CREW].ask(question, dict(request.query))})

    return ask


async def openapi(_: web.Request) -> web.Response:
    """What this API is."""
    return json_response(document())


async def budgets(request: web.Request) -> web.Response:
    """Where budgets stand. Processes share them, or there is only one: any answer is the whole."""
    answers = await request.app[CREW].ask("budgets", {})
    known = next((answer for answer in answers if answer is not None), None)
    if known is None:
        raise StoreUnavailable("budgets")
    return json_response({"budgets": known})


async def explain(request: web.Request) -> web.Response:
    """What would be decided for a request, and why. All processes decide alike: the first answer is shown."""
    asked = json_bytes.object_in(await request.read())
    if asked is None:
        raise BadRequest("Expected a JSON object with a 'text', or the 'messages' of a chat request.")
    return json_response((await request.app[CREW].ask("route.explain", asked))[0])


async def status(request: web.Request) -> web.Response:
    """What runs here: version, readiness, and of each process its configuration's hash and uptime."""
    crew = request.app[CREW]
    _, readiness = crew.readiness()
    return json_response({**readiness, "version": __version__, "processes": await crew.ask("status", {})})
