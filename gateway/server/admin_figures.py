"""Figures of a prompt's versions, on the admin port: /admin/prompts/NAME/figures."""

import time
from typing import Any

from aiohttp import web

from gateway.accounting.compare import best_of, compare
from gateway.accounting.compared import comparison_json, figures_json
from gateway.accounting.versions import figures_of
from gateway.clock import SystemClock
from gateway.errors import BadRequest
from gateway.prompts.store import PromptStore
from gateway.server.admin_prompts import name_in
from gateway.server.admin_spend import moment
from gateway.server.database import database_of
from gateway.server.json_answer import json_response

_DAY_MS = 86_400_000
_MOST_VERSION = 1_000_000_000


def serve_figures(app: web.Application) -> None:
    app.add_routes([web.get("/admin/prompts/{name}/figures", figures)])


async def figures(request: web.Request) -> web.Response:
    """Every version that was asked for in the period, by the ledger; with `before` and `after`, the two compared."""
    now_ms = int(time.time() * 1000)
    since_ms = moment(request, "since", now_ms - _DAY_MS)
    until_ms = moment(request, "until", now_ms + 1)
    before, after = _version(request, "before"), _version(request, "after")
    if (before is None) != (after is None):
        raise BadRequest(
            "'before' and 'after' go together: name both versions, or neither.",
            param="before" if after is None else "after",
        )
    async with database_of(request, "Prompts are kept", for_sums=True) as database:
        name = (await PromptStore(database, SystemClock()).show(name_in(request)))["name"]
        found = await figures_of(database, name, since_ms=since_ms, until_ms=until_ms)
    answer: dict[str, Any] = {
        "prompt": name,
        "since_ms": since_ms,
        "until_ms": until_ms,
        "versions": [figures_json(each) for each in found],
    }
    if before is not None and after is not None:
        answer["comparison"] = comparison_json(compare(name, best_of(found, before), best_of(found, after)))
    return json_response(answer)


def _version(request: web.Request, name: str) -> int | None:
    given = request.query.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 10 and 1 <= int(given) <= _MOST_VERSION):
        raise BadRequest(f"'{name}' must be the number of a version.", param=name)
    return int(given)
