"""The admin API of prompts in OpenAPI's terms: what `openapi.py` has under /admin/prompts."""

from gateway.prompts import asked
from gateway.server.openapi_shapes import ANY, SCHEMAS, TEXT, WHOLE, Operation, Schema, object_of, ref

_CHANGES = object_of(changes={"type": "array", "items": ANY}, next={"type": ["integer", "null"]})
_PAGED = (
    ("before", "number to go on before: `next` of the answer before"),
    ("limit", "at most so many, up to 1000; default 100"),
)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/admin/prompts"): Operation(
        "Prompts in the order of their names, with where their labels point.",
        object_of(prompts={"type": "array", "items": ref("Prompt")}, next={"type": ["string", "null"]}),
        query=(
            ("after", "name to go on after: `next` of the answer before"),
            ("limit", "at most so many, up to 1000; default 100"),
        ),
        failures=(400, 404, 503),
    ),
    ("POST", "/admin/prompts"): Operation(
        "Push a version. 200 with `status` unchanged where it is the newest already.",
        object_of(
            name=TEXT,
            id=TEXT,
            version=WHOLE,
            status={"enum": ["created", "unchanged"]},
            labels=ANY,
            findings={"type": "array", "items": ANY},
        ),
        status=201,
        body=ref("Push"),
        failures=(400, 404, 409, 503),
    ),
    ("GET", "/admin/prompts/{name}"): Operation("One prompt, by name or id.", ref("Prompt"), failures=(404, 503)),
    ("GET", "/admin/prompts/{name}/versions"): Operation(
        "Its versions, without what they say.",
        object_of(versions={"type": "array", "items": ref("PromptVersion")}),
        failures=(404, 503),
    ),
    ("GET", "/admin/prompts/{name}/versions/{version}"): Operation(
        "One version with its document, by number, by a label that points at it alone, or `newest`.",
        {"allOf": [ref("PromptVersion"), object_of(name=TEXT, id=TEXT, document=ref("PromptDocument"))]},
        failures=(404, 409, 503),
    ),
    ("GET", "/admin/prompts/{name}/diff"): Operation(
        "What one version says otherwise than another, line by line; of the same twice, what it says.",
        object_of(
            before=WHOLE,
            after=WHOLE,
            lines={
                "type": "array",
                "items": object_of(kind={"enum": ["same", "removed", "added"]}, text={"type": "string"}),
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
        ref("PromptLabel"),
        body=ref("Activate"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/labels/{label}/rollback"): Operation(
        "Point a label where it pointed before; again, and it goes one step further back.",
        ref("PromptLabel"),
        body=ref("Rollback"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/labels/{label}/split"): Operation(
        "Share out a label's requests among versions by weight; each user or conversation stays with its version.",
        ref("PromptLabel"),
        body=ref("Split"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/labels/{label}/stop"): Operation(
        "End a split: the label points where it did before.",
        ref("PromptLabel"),
        body=ref("Change"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/shadow"): Operation(
        "Have a version answered beside the one that callers get, or no longer.",
        ref("Prompt"),
        body=ref("SetShadow"),
        failures=(400, 404, 409, 503),
    ),
    ("POST", "/admin/prompts/{name}/archive"): Operation(
        "Serve it no longer; nothing is deleted.", ref("Prompt"), body=ref("Change"), failures=(400, 404, 409, 503)
    ),
    ("POST", "/admin/prompts/{name}/restore"): Operation(
        "Serve it again.", ref("Prompt"), body=ref("Change"), failures=(400, 404, 409, 503)
    ),
    ("GET", "/admin/prompts/{name}/figures"): Operation(
        "Every version of a prompt that was asked for, by the ledger: requests, tokens, nano-dollars, how answers end,"
        " opinions, means with intervals of 95%. With `before` and `after`, the two compared.",
        object_of(
            prompt={"type": "string"},
            since_ms=WHOLE,
            until_ms=WHOLE,
            versions={"type": "array", "items": ANY},
            comparison=object_of(
                before=ANY, after=ANY, verdict={"type": "string"}, lines={"type": "array", "items": ANY}
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
}


def schemas() -> dict[str, Schema]:
    bodies = (asked.Change, asked.Push, asked.Activate, asked.Rollback, asked.Split, asked.SetShadow)
    found: dict[str, Schema] = {}
    for body in bodies:
        schema = body.model_json_schema(ref_template=SCHEMAS + "{model}")
        found |= schema.pop("$defs", {})
        found[body.__name__] = schema
    time = {"type": ["string", "null"], "format": "date-time"}
    arms = {"type": "array", "items": object_of(version=WHOLE, weight=WHOLE)}
    pointing = object_of(versions=arms, sticky_by={"enum": ["user", "conversation", None]})
    return {
        **found,
        "Prompt": object_of(
            name=TEXT,
            id=TEXT,
            newest=WHOLE,
            labels={"type": "object", "additionalProperties": pointing},
            shadow={"anyOf": [ref("Shadow"), {"type": "null"}]},
            created_at=time,
            archived_at=time,
        ),
        "PromptVersion": object_of(version=WHOLE, digest=TEXT, author=TEXT, created_at=time),
        "PromptLabel": {"allOf": [object_of(name=TEXT, id=TEXT, label=TEXT), pointing]},
    }
