"""What the admin API is, for machines that read OpenAPI: every URL under /admin, in one table.

A test compares the table with the URLs that are served.
"""

from typing import Any

from gateway import __version__
from gateway.config.model import IssuedKey
from gateway.server import openapi_prompts
from gateway.server.openapi_shapes import ANY, SCHEMAS, WHOLE, Operation, Schema, object_of, ref

_PROCESSES = object_of(processes={"type": "array", "items": ANY})

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/admin/openapi.json"): Operation("This document.", ANY),
    ("GET", "/admin/status"): Operation(
        "What runs here: version, readiness, and of each process its configuration's hash and uptime.", _PROCESSES
    ),
    ("GET", "/admin/upstreams"): Operation(
        "Of each process: how targets stand, their breakers and what retries may still use.", _PROCESSES
    ),
    ("GET", "/admin/cache"): Operation(
        "What each route's cache did since the start, and what each process holds.", ANY
    ),
    ("POST", "/admin/cache/purge"): Operation(
        "Have answers forgotten: all, or those of a route, of a key's or team's sharing scope, or of both. No process"
        " serves them any more within a second.",
        ANY,
        body=object_of(
            route={"type": "string"}, key={"type": "string"}, team={"type": "string"}, all={"type": "boolean"}
        ),
        failures=(400, 503),
    ),
    ("POST", "/admin/cache/reopen"): Operation(
        "Put a route's semantic cache, which may have closed itself, on trial again.",
        ANY,
        body=object_of(route={"type": "string"}),
        failures=(400,),
    ),
    ("POST", "/admin/keys"): Operation(
        "Issue a key. Its secret is in this answer and nowhere else.",
        ref("KeyWithSecret"),
        status=201,
        body=ref("IssuedKey"),
        failures=(400, 404, 409, 503),
    ),
    ("GET", "/admin/keys"): Operation(
        "Keys that were issued, in the order of their names.",
        object_of(keys={"type": "array", "items": ref("Key")}, next={"type": ["string", "null"]}),
        query=(
            ("after", "name to go on after: `next` of the answer before"),
            ("limit", "at most so many, up to 1000; default 100"),
            ("team", "only those of a team"),
        ),
        failures=(400, 404, 503),
    ),
    ("GET", "/admin/keys/{name}"): Operation("One key.", ref("Key"), failures=(404, 503)),
    ("POST", "/admin/keys/{name}/rotate"): Operation(
        "Give a key a new secret, told in this answer alone; the one before goes on for `grace_s`.",
        ref("KeyWithSecret"),
        body=object_of(grace_s={"type": "number", "minimum": 0, "default": 0}),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/keys/{name}/revoke"): Operation(
        "End a key, and those that were issued under it, for good.", ref("Key"), failures=(404, 503)
    ),
    **openapi_prompts.OPERATIONS,
    ("POST", "/admin/route/explain"): Operation(
        "What would be decided for a question on a `tier: auto` route, and why; nothing is called.",
        object_of(
            tier={"enum": ["cheap", "expensive"]},
            reason={"type": "string"},
            rule={"type": ["string", "null"]},
            probability={"type": "number"},
            threshold={"type": "number"},
            features={"type": "array", "items": object_of(name={"type": "string"}, points={"type": "number"})},
            roads={"type": "array", "items": ANY},
        ),
        body=object_of(
            route={"type": "string"},
            text={"type": "string"},
            messages={"type": "array", "items": ANY},
            tools={"type": "array", "items": ANY},
        ),
        failures=(400, 404),
    ),
    ("GET", "/admin/overview"): Operation(
        "Today and this week (UTC, from Monday) by the ledger, in all and by route. Money in nano-dollars.",
        object_of(
            at_ms=WHOLE,
            is_complete={"type": "boolean", "description": "false while a large ledger is being read"},
            today=ref("Period"),
            week=ref("Period"),
        ),
        failures=(404, 503),
    ),
    ("GET", "/admin/requests"): Operation(
        "The last requests, the newest first: names and numbers, never their text.",
        object_of(requests={"type": "array", "items": ANY}),
        query=(("limit", "at most so many, up to 200; default 25"),),
        failures=(400, 404, 503),
    ),
    ("GET", "/admin/budgets"): Operation(
        "Every budget in its present period: what is spent, reserved and left.",
        object_of(budgets={"type": "array", "items": ref("BudgetState")}),
        failures=(503,),
    ),
    ("GET", "/admin/spend"): Operation(
        "Requests, tokens, dollars spent and saved, by one dimension of the ledger; the dearest first.",
        object_of(spend={"type": "array", "items": ANY}, is_complete={"type": "boolean"}),
        query=(
            ("by", "route (default), key, team, tier, target or day"),
            ("since", "from this time on (RFC 3339; a date is midnight UTC)"),
            ("until", "before this time"),
        ),
        failures=(400, 404, 503),
    ),
}


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _described(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LLM gateway: admin API",
            "version": __version__,
            "description": "On the admin port, for operators. Wants `server.admin.key` as a bearer token.",
        },
        "security": [{"adminKey": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"adminKey": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _described(path: str, operation: Operation) -> dict[str, Any]:
    named = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in named]
    parameters += [
        {"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}
        for name, meaning in operation.query
    ]
    answers = {str(operation.status): {"description": operation.summary, "content": _json(operation.answer)}}
    for status in sorted({401, *operation.failures}):
        answers[str(status)] = {"description": _FAILURES[status], "content": _json(ref("Error"))}
    described: dict[str, Any] = {"summary": operation.summary, "parameters": parameters, "responses": answers}
    if operation.body is not None:
        described["requestBody"] = {"content": _json(operation.body)}
    return described


_FAILURES = {
    400: "Something in the request is wrong; the message says what.",
    401: "Not the admin key.",
    404: "There is none.",
    409: "What is there already forbids it.",
    503: "The database, the store or a process does not answer.",
}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schemas() -> dict[str, Any]:
    issued = IssuedKey.model_json_schema(ref_template=SCHEMAS + "{model}")
    shared = issued.pop("$defs")
    time = {"type": ["string", "null"], "format": "date-time"}
    state: Schema = {
        "state": {"enum": ["active", "expired", "revoked"]},
        "created_at": time,
        "revoked_at": time,
        "previous_secret_until": time,
    }
    count = {"type": "integer"}
    return {
        **shared,
        **openapi_prompts.schemas(),
        "IssuedKey": issued,
        "Key": {"allOf": [ref("IssuedKey"), object_of(**state)]},
        "KeyWithSecret": {"allOf": [ref("Key"), object_of(secret={"type": "string"})]},
        "Period": object_of(since_ms=WHOLE, total=ANY, routes={"type": "array", "items": ANY}),
        "BudgetState": object_of(
            scope={"type": "string", "description": "key:NAME, team:NAME, route:NAME or gateway"},
            unit={"enum": ["usd", "tokens"]},
            per={"enum": ["hour", "day", "month", "total"]},
            limit={"type": ["number", "null"]},
            cheap_from={"type": ["number", "null"], "description": "of a budget with on_exceeded: cheap"},
            spent={"type": "number"},
            reserved={"type": "number"},
            left={"type": ["number", "null"]},
            lost={"type": "number", "description": "the part of spent that processes which died were charged"},
            lost_requests=count,
            resets_at=time,
        ),
        "Error": object_of(error=ANY),
    }
