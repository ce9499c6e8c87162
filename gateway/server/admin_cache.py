"""The response cache, on the admin port: what it holds and does, and what it is to forget."""

from typing import Any

from aiohttp import web

from gateway.errors import BadRequest
from gateway.server.crew import CREW
from gateway.server.json_answer import json_response
from gateway.wire.body import parse_object

_MAX_NODES = 100
_SELECTORS = ("route", "key", "team")


def serve_cache(app: web.Application) -> None:
    app.add_routes(
        [
            web.get("/admin/cache", stats),
            web.post("/admin/cache/purge", purge),
            web.post("/admin/cache/reopen", reopen),
        ]
    )


async def purge(request: web.Request) -> web.Response:
    """Have answers forgotten, in every process and in what they share."""
    asked = _checked(parse_object(await request.read(), max_nodes=_MAX_NODES))
    processes = await request.app[CREW].ask("cache.purge", asked)
    return json_response({"purged": asked, "processes": len(processes)})


async def reopen(request: web.Request) -> web.Response:
    """Put a route's semantic cache on trial again, in every process."""
    asked = parse_object(await request.read(), max_nodes=_MAX_NODES)
    if asked.keys() != {"route"} or not isinstance(asked["route"], str):
        raise BadRequest('Say which route, and nothing else: {"route": "NAME"}.', param="route")
    processes = await request.app[CREW].ask("cache.reopen", asked)
    return json_response({"reopened": asked["route"], "processes": len(processes)})


async def stats(request: web.Request) -> web.Response:
    """Of each process what it holds, and of all together what each route's cache did since they started."""
    processes = await request.app[CREW].ask("cache.stats", {})
    routes: dict[str, dict[str, int]] = {}
    for process in processes:
        for route, figures in process.pop("routes").items():
            total = routes.setdefault(route, dict.fromkeys(figures, 0))
            for name, value in figures.items():
                total[name] = total.get(name, 0) + value
    return json_response({"routes": routes, "processes": processes})


def _checked(asked: dict[str, Any]) -> dict[str, Any]:
    """What is to be purged: `{"all": true}`, or a route, a key or a team, or a route and one of these."""
    unknown = [name for name in asked if name not in (*_SELECTORS, "all")]
    if unknown:
        raise BadRequest(f"Unknown field '{unknown[0]}'; expected route, key, team or all.", param=unknown[0])
    if asked.get("all") is True and len(asked) == 1:  # 1 == True
        return asked
    if not asked or "all" in asked or {"key", "team"} <= asked.keys():
        raise BadRequest('Say what to purge: {"all": true}, or a route, a key or a team, or a route and one of these.')
    for name, value in asked.items():
        if not isinstance(value, str):
            raise BadRequest(f"{name}: expected a name, got {type(value).__name__}.", param=name)
    return asked
