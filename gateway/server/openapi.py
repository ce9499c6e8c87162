"""What the admin API is, for machines that read OpenAPI: every URL under /admin, in one table.

A test compares the table with the URLs that are served.
"""

from dataclasses import dataclass
from typing import Any

from gateway import __version__
from gateway.config.model import IssuedKey
from gateway.prompts import asked

_SCHEMAS = "#/components/schemas/"
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    summary: str
    answer: Schema
    status: int = 200
    query: tuple[tuple[str, str], ...] = ()
    """Name and meaning of each parameter."""
    body: Schema | None = None
    failures: tuple[int, ...] = ()
    """Statuses beside 401 that are to be reckoned with; each is OpenAI's error object."""


def _ref(name: str) -> Schema:
    return {"$ref": _SCHEMAS + name}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


_ANY: Schema = {"type": "object"}
_WHOLE: Schema = {"type": "integer"}
_TEXT: Schema = {"type": "string"}
_PROCESSES = _object(processes={"type": "array", "items": _ANY})

_CHANGES = _object(changes={"type": "array", "items": _ANY}, next={"type": ["integer", "null"]})
_PAGED = (
    ("before", "number to go on before: `next` of the answer before"),
    ("limit", "at most so many, up to 1000; default 100"),
)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/admin/openapi.json"): Operation("This document.", _ANY),
    ("GET", "/admin/status"): Operation(
        "What runs here: version, readiness, and of each process its configuration's hash and uptime.", _PROCESSES
    ),
    ("GET", "/admin/upstreams"): Operation(
        "Of each process: how targets stand, their breakers and what retries may still use.", _PROCESSES
    ),
    ("GET", "/admin/cache"): Operation(
        "What each route's cache did since the start, and what each process holds.", _ANY
    ),
    ("POST", "/admin/cache/purge"): Operation(
        "Have answers forgotten: all, or those of a route, of a key's or team's sharing scope, or of both. No process"
        " serves them any more within a second.",
        _ANY,
        body=_object(
            route={"type": "string"}, key={"type": "string"}, team={"type": "string"}, all={"type": "boolean"}
        ),
        failures=(400, 503),
    ),
    ("POST", "/admin/cache/reopen"): Operation(
        "Put a route's semantic cache, which may have closed itself, on trial again.",
        _ANY,
        body=_object(route={"type": "string"}),
        failures=(400,),
    ),
    ("POST", "/admin/keys"): Operation(
        "Issue a key. Its secret is in this answer and nowhere else.",
        _ref("KeyWithSecret"),
        status=201,
        body=_ref("IssuedKey"),
        failures=(400, 404, 409, 503),
    ),
    ("GET", "/admin/keys"): Operation(
        "Keys that were issued, in the order of their names.",
        _object(keys={"type": "array", "items": _ref("Key")}, next={"type": ["string", "null"]}),
        query=(
            ("after", "name to go on after: `next` of the answer before"),
            ("limit", "at most so many, up to 1000; default 100"),
            ("team", "only those of a team"),
        ),
        failures=(400, 404, 503),
    ),
    ("GET", "/admin/keys/{name}"): Operation("One key.", _ref("Key"), failures=(404, 503)),
    ("POST", "/admin/keys/{name}/rotate"): Operation(
        "Give a key a new secret, told in this answer alone; the one before goes on for `grace_s`.",
        _ref("KeyWithSecret"),
        body=_object(grace_s={"type": "number", "minimum": 0, "default": 0}),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/keys/{name}/revoke"): Operation(
        "End a key, and those that were issued under it, for good.", _ref("Key"), failures=(404, 503)
    ),
    ("GET", "/admin/prompts"): Operation(
        "Prompts in the order of their names, with where their labels point.",
        _object(prompts={"type": "array", "items": _ref("Prompt")}, next={"type": ["string", "null"]}),
        query=(
            ("after", "name to go on after: `next` of the answer before"),
            ("limit", "at most so many, up to 1000; default 100"),
        ),
        failures=(400, 404, 503),
    ),
    ("POST", "/admin/prompts"): Operation(
        "Push a version. 200 with `status` unchanged where it is the newest already.",
        _object(
            name=_TEXT, id=_TEXT, version=_WHOLE, status={"enum": ["created", "unchanged"]}, labels=_ANY, findings=_ANY
        ),
        status=201,
        body=_ref("Push"),
        failures=(400, 404, 409, 503),
    ),
    ("GET", "/admin/prompts/{name}"): Operation("One prompt, by name or id.", _ref("Prompt"), failures=(404, 503)),
    ("GET", "/admin/prompts/{name}/versions"): Operation(
        "Its versions, without what they say.",
        _object(versions={"type": "array", "items": _ref("PromptVersion")}),
        failures=(404, 503),
    ),
    ("GET", "/admin/prompts/{name}/versions/{version}"): Operation(
        "One version with its document, by number, by a label that points at it alone, or `newest`.",
        {"allOf": [_ref("PromptVersion"), _object(name=_TEXT, id=_TEXT, document=_ref("PromptDocument"))]},
        failures=(404, 409, 503),
    ),
    ("GET", "/admin/prompts/{name}/diff"): Operation(
        "What one version says otherwise than another, line by line; of the same twice, what it says.",
        _object(
            before=_WHOLE,
            after=_WHOLE,
            lines={
                "type": "array",
                "items": _object(kind={"enum": ["same", "removed", "added"]}, text={"type": "string"}),
            },
        ),
        query=(("before", "a number, a label or `newest` (default)"), ("after", "the same")),
        failures=(404, 409, 503),
    ),
    ("GET", "/admin/prompts/{name}/audit"): Operation(
        "Who changed what of it, the last change first.", _CHANGES, query=_PAGED, failures=(400, 404, 503)
    ),
    ("GET", "/admin/prompts-audit"): Operation(
        "The same of all prompts.", _CHANGES, query=_PAGED, failures=(400, 404, 503)
    ),
    ("POST", "/admin/prompts/{name}/labels/{label}/activate"): Operation(
        "Point a label at a version; ends a split of it.",
        _ref("PromptLabel"),
        body=_ref("Activate"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/labels/{label}/rollback"): Operation(
        "Point a label where it pointed before; again, and it goes one step further back.",
        _ref("PromptLabel"),
        body=_ref("Rollback"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/labels/{label}/split"): Operation(
        "Share out a label's requests among versions by weight; each user or conversation stays with its version.",
        _ref("PromptLabel"),
        body=_ref("Split"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/labels/{label}/stop"): Operation(
        "End a split: the label points where it did before.",
        _ref("PromptLabel"),
        body=_ref("Change"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/shadow"): Operation(
        "Have a version answered beside the one that callers get, or no longer.",
        _ref("Prompt"),
        body=_ref("SetShadow"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/archive"): Operation(
        "Serve it no longer; nothing is deleted.", _ref("Prompt"), body=_ref("Change"), failures=(400, 404, 409, 503)
    ),
    ("POST", "/admin/prompts/{name}/restore"): Operation(
        "Serve it again.", _ref("Prompt"), body=_ref("Change"), failures=(400, 404, 409, 503)
    ),
    ("POST", "/admin/route/explain"): Operation(
        "What would be decided for a question on a `tier: auto` route, and why; nothing is called.",
        _object(
            tier={"enum": ["cheap", "expensive"]},
            reason={"type": "string"},
            rule={"type": ["string", "null"]},
            probability={"type": "number"},
            threshold={"type": "number"},
            features={"type": "array", "items": _object(name={"type": "string"}, points={"type": "number"})},
            roads={"type": "array", "items": _ANY},
        ),
        body=_object(
            route={"type": "string"},
            text={"type": "string"},
            messages={"type": "array", "items": _ANY},
            tools={"type": "array", "items": _ANY},
        ),
        failures=(400, 404),
    ),
    ("GET", "/admin/overview"): Operation(
        "Today and this week (UTC, from Monday) by the ledger, in all and by route. Money in nano-dollars.",
        _object(
            at_ms=_WHOLE,
            is_complete={"type": "boolean", "description": "false while a large ledger is being read"},
            today=_ref("Period"),
            week=_ref("Period"),
        ),
        failures=(404, 503),
    ),
    ("GET", "/admin/requests"): Operation(
        "The last requests, the newest first: names and numbers, never their text.",
        _object(requests={"type": "array", "items": _ANY}),
        query=(("limit", "at most so many, up to 200; default 25"),),
        failures=(400, 404, 503),
    ),
    ("GET", "/admin/prompts/{name}/figures"): Operation(
        "Every version of a prompt that was asked for, by the ledger: requests, tokens, nano-dollars, how answers end,"
        " opinions, means with intervals of 95%. With `before` and `after`, the two compared.",
        _object(
            prompt={"type": "string"},
            since_ms=_WHOLE,
            until_ms=_WHOLE,
            versions={"type": "array", "items": _ANY},
            comparison=_object(
                before=_ANY, after=_ANY, verdict={"type": "string"}, lines={"type": "array", "items": _ANY}
            ),
        ),
        query=(
            ("since", "from this time on (RFC 3339); default: a day ago"),
            ("until", "before this time; default: now"),
            ("before", "number of a version"),
            ("after", "number of another"),
        ),
        failures=(400, 404, 503),
    ),
    ("GET", "/admin/budgets"): Operation(
        "Every budget in its present period: what is spent, reserved and left.",
        _object(budgets={"type": "array", "items": _ref("BudgetState")}),
        failures=(503,),
    ),
    ("GET", "/admin/spend"): Operation(
        "Requests, tokens, dollars spent and saved, by one dimension of the ledger; the dearest first.",
        _object(spend={"type": "array", "items": _ANY}, is_complete={"type": "boolean"}),
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
        answers[str(status)] = {"description": _FAILURES[status], "content": _json(_ref("Error"))}
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
    issued = IssuedKey.model_json_schema(ref_template=_SCHEMAS + "{model}")
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
        **_prompt_schemas(),
        "IssuedKey": issued,
        "Key": {"allOf": [_ref("IssuedKey"), _object(**state)]},
        "KeyWithSecret": {"allOf": [_ref("Key"), _object(secret={"type": "string"})]},
        "Period": _object(since_ms=_WHOLE, total=_ANY, routes={"type": "array", "items": _ANY}),
        "BudgetState": _object(
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
        "Error": _object(error=_ANY),
    }


def _prompt_schemas() -> dict[str, Schema]:
    bodies = (asked.Change, asked.Push, asked.Activate, asked.Rollback, asked.Split, asked.SetShadow)
    found: dict[str, Schema] = {}
    for body in bodies:
        schema = body.model_json_schema(ref_template=_SCHEMAS + "{model}")
        found |= schema.pop("$defs", {})
        found[body.__name__] = schema
    time = {"type": ["string", "null"], "format": "date-time"}
    arms = {"type": "array", "items": _object(version=_WHOLE, weight=_WHOLE)}
    pointing = _object(versions=arms, sticky_by={"enum": ["user", "conversation", None]})
    return {
        **found,
        "Prompt": _object(
            name=_TEXT,
            id=_TEXT,
            newest=_WHOLE,
            labels={"type": "object", "additionalProperties": pointing},
            shadow={"anyOf": [_ref("Shadow"), {"type": "null"}]},
            created_at=time,
            archived_at=time,
        ),
        "PromptVersion": _object(version=_WHOLE, digest=_TEXT, author=_TEXT, created_at=time),
        "PromptLabel": {"allOf": [_object(name=_TEXT, id=_TEXT, label=_TEXT), pointing]},
    }
