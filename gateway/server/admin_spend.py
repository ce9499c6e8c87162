"""What was spent, on the admin port: /admin/spend."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.accounting.spent import GROUPS, MOST_GROUPS, spend_by
from gateway.errors import BadRequest
from gateway.server.database import database_of
from gateway.server.json_answer import json_response
from gateway.values import NANO


async def spend(request: web.Request) -> web.Response:
    """Requests, tokens, dollars spent and saved, by one dimension; the dearest first."""
    by = request.query.get("by", "route")
    if by not in GROUPS:
        raise BadRequest(f"'by' must be one of {', '.join(GROUPS)}.", param="by")
    since_ms, until_ms = moment(request, "since", 0), moment(request, "until", 1 << 53)
    async with database_of(request, "What was spent stands") as database:
        groups = await spend_by(database, by, since_ms, until_ms) if database.is_made else []
    rows: list[dict[str, Any]] = [
        {
            by: group.name,
            "requests": group.requests,
            "input_tokens": group.input_tokens,
            "output_tokens": group.output_tokens,
            "spent_usd": group.nanousd / NANO,
            "saved_usd": group.saved_nanousd / NANO,
        }
        for group in groups
    ]
    return json_response({"spend": rows, "is_complete": len(rows) < MOST_GROUPS})


def moment(request: web.Request, name: str, default: int) -> int:
    """Milliseconds since 1970; a date without a zone is UTC."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"'{name}' must be a date or time such as 2026-11-22 (RFC 3339).", param=name) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
