"""What the status page shows of the ledger, on the admin port: /admin/overview and /admin/requests.

Money is in integer nano-dollars, so that a page can show exactly what the ledger has.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from gateway.accounting.overview import Overviews, Period, Sums, last_requests
from gateway.clock import SystemClock
from gateway.errors import BadRequest
from gateway.server.database import database_of
from gateway.server.json_answer import json_response

_OVERVIEWS = web.AppKey("overviews", Overviews)
MOST_ROWS = 200
_ROWS = 25


def serve_overview(app: web.Application) -> None:
    app[_OVERVIEWS] = Overviews(SystemClock())
    app.add_routes([web.get("/admin/overview", overview), web.get("/admin/requests", requests)])


async def overview(request: web.Request) -> web.Response:
    """Today and this week, in all, by route and by tier."""
    async with database_of(request, "What was spent stands") as database:
        found = await request.app[_OVERVIEWS].look(database)
    return json_response(
        {
            "at_ms": found.at_ms,
            "is_complete": found.is_complete,
            "today": _told(found.today),
            "week": _told(found.week),
        }
    )


def _told(period: Period) -> dict[str, Any]:
    """The dearest route first."""
    routes: dict[str, dict[str, Any]] = {}
    for name in {route for route, _ in period.groups}:
        tiers = {tier: sums for (route, tier), sums in period.groups.items() if route == name}
        split = {tier or "none": sums.requests for tier, sums in sorted(tiers.items(), key=lambda item: str(item[0]))}
        routes[name or "none"] = {**asdict(_sum(tiers.values())), "tiers": split}
    ordered = sorted(routes.items(), key=lambda item: (-item[1]["cost_nanousd"], -item[1]["requests"], item[0]))
    return {
        "since_ms": period.since_ms,
        "total": asdict(_sum(period.groups.values())),
        "routes": [{"route": name, **figures} for name, figures in ordered],
    }


def _sum(some: Iterable[Sums]) -> Sums:
    total = Sums()
    for sums in some:
        total.add(sums)
    return total


async def requests(request: web.Request) -> web.Response:
    """The last requests, the newest first: names and numbers, never their text."""
    given = request.query.get("limit", str(_ROWS))
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= MOST_ROWS:
        raise BadRequest(f"'limit' must be a number from 1 to {MOST_ROWS}.", param="limit")
    async with database_of(request, "Requests are written down") as database:
        rows = await last_requests(database, int(given))
    return json_response({"requests": [asdict(row) for row in rows]})
