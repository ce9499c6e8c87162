"""Which URL of the traffic port leads where: one table. The admin port's is in `admin.py`."""

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.config.check import is_loopback
from gateway.server.cors import allow_origin, answer_preflights, refuse_foreign_pages
from gateway.server.feedback import take_feedback
from gateway.server.hosts import refuse_foreign_hosts
from gateway.server.inference import handler_of
from gateway.server.keys import IN_FLIGHT, LIVE
from gateway.server.live import Live
from gateway.server.load import InFlight
from gateway.server.middleware import errors_to_openai, hide_server, limit_in_flight
from gateway.server.models import list_models, retrieve_model
from gateway.server.passthrough import pass_through
from gateway.server.probes import healthz
from gateway.server.strict import refuse_ambiguous
from gateway.wire.endpoints import ENDPOINTS

_HANDED_ON = 1 << 40
"""aiohttp's own limit on bodies is out of the way: ours is in `body.py`, and pass-through has none."""


def traffic_app(live: Live, in_flight: InFlight) -> web.Application:
    """What clients talk to."""
    server = live.gateway.config.server
    own_names = refuse_foreign_hosts(server.hosts, _is_open_on_loopback)
    app = _app(live, in_flight, own_names, refuse_foreign_pages, answer_preflights, limit_in_flight)
    app.on_response_prepare.append(allow_origin)
    app.add_routes(
        [
            *(web.post(f"/v1{endpoint.path}", handler_of(endpoint)) for endpoint in ENDPOINTS),
            web.get("/v1/models", list_models),
            web.get("/v1/models/{id:.+}", retrieve_model),
            web.post("/v1/feedback", take_feedback),
            web.route("*", "/v1/{path:.*}", pass_through),
            web.get("/healthz", healthz),
        ]
    )
    return app


def _is_open_on_loopback(request: web.Request) -> bool:
    config = request.app[LIVE].gateway.config
    return config.auth == "none" and not config.allow_open and is_loopback(config.server.host)


def _app(live: Live, in_flight: InFlight, *middlewares: Middleware) -> web.Application:
    app = web.Application(middlewares=[errors_to_openai, refuse_ambiguous, *middlewares], client_max_size=_HANDED_ON)
    app.on_response_prepare.append(hide_server)
    app[LIVE] = live
    app[IN_FLIGHT] = in_flight
    return app
