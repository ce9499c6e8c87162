"""Keys at run time, on the admin port: /admin/keys.

What is changed here is known to the processes behind this port when it is answered, and to others that share the
database within a second.
"""

import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.auth.registry import MOST_LISTED, KeyRegistry
from gateway.clock import SystemClock
from gateway.errors import BadRequest, ProcessSilent
from gateway.server.crew import CREW
from gateway.server.database import database_of
from gateway.server.json_answer import json_response
from gateway.wire.body import parse_object

_MAX_NODES = 10_000
_MOST_GRACE_S = 30 * 86_400.0
_LISTED = 100


def serve_keys(app: web.Application) -> None:
    """Add the URLs to `app`; without a ledger they say that there is none."""
    app.add_routes(
        [
            web.post("/admin/keys", _of_registry(create, status=201)),
            web.get("/admin/keys", _of_registry(several)),
            web.get("/admin/keys/{name}", _of_registry(show)),
            web.post("/admin/keys/{name}/rotate", _of_registry(rotate)),
            web.post("/admin/keys/{name}/revoke", _of_registry(revoke)),
        ]
    )


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _of_registry(
    handle: Callable[[web.Request, KeyRegistry], Awaitable[dict[str, Any]]], *, status: int = 200
) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        config = request.app[CREW].config
        async with database_of(request, "Keys at run time are kept") as database:
            answer = await handle(request, KeyRegistry(config, database, SystemClock()))
        return json_response(answer, status=status)

    return handler


async def create(request: web.Request, registry: KeyRegistry) -> dict[str, Any]:
    created = await registry.create(await request.read())
    await _tell(request)
    return created


async def several(request: web.Request, registry: KeyRegistry) -> dict[str, Any]:
    limit = _limit(request.query.get("limit"))
    after, team = request.query.get("after", ""), request.query.get("team")
    keys = await registry.several(after=after, limit=limit, team=team)
    return {"keys": keys, "next": keys[-1]["name"] if len(keys) == limit else None}


async def show(request: web.Request, registry: KeyRegistry) -> dict[str, Any]:
    return await registry.show(request.match_info["name"])


async def rotate(request: web.Request, registry: KeyRegistry) -> dict[str, Any]:
    body = await request.read()
    fields = parse_object(body, max_nodes=_MAX_NODES) if body else {}
    if unknown := set(fields) - {"grace_s"}:
        raise BadRequest(f"'{min(unknown)}' is not known here: expected grace_s or nothing.", param=min(unknown))
    grace_s = _number(fields.get("grace_s"), "grace_s", default=0, most=_MOST_GRACE_S)
    rotated = await registry.rotate(request.match_info["name"], grace_s=grace_s)
    await _tell(request)
    return rotated


async def revoke(request: web.Request, registry: KeyRegistry) -> dict[str, Any]:
    revoked = await registry.revoke(request.match_info["name"])
    await _tell(request)
    return revoked


async def _tell(request: web.Request) -> None:
    """Have the processes here know it at once. One that cannot be asked looks for itself, as always."""
    with contextlib.suppress(ProcessSilent):
        await request.app[CREW].ask("keys.refresh", {})


def _limit(given: str | None) -> int:
    if given is None:
        return _LISTED
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and 1 <= int(given) <= MOST_LISTED):
        raise BadRequest(f"'limit' must be a whole number from 1 to {MOST_LISTED}.", param="limit")
    return int(given)


def _number(given: object, name: str, *, default: float, most: float) -> float:
    if given is None:
        return default
    try:
        value = float(given) if isinstance(given, int | float) and not isinstance(given, bool) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        value = math.nan
    if not 0 <= value <= most:
        raise BadRequest(f"'{name}' must be a number from 0 to {most:g}.", param=name)
    return value
