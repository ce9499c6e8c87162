"""Prompts on the admin port: /admin/prompts.

What is changed here is known to the processes behind this port when it is answered, and to others that share the
database within a second.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.clock import SystemClock
from gateway.config.problem import dotted
from gateway.errors import BadRequest, NotFound, ProcessSilent
from gateway.prompt_check import errors_in, placed
from gateway.prompts.asked import Activate, Change, Push, Rollback, SetShadow, Split
from gateway.prompts.difference import difference
from gateway.prompts.document import Label, PromptDocument
from gateway.prompts.store import MOST_LISTED, NEWEST, PromptStore
from gateway.server.crew import CREW
from gateway.server.database import database_of
from gateway.server.json_answer import json_response
from gateway.wire import json_bytes
from gateway.wire.body import parse_object

M = TypeVar("M", bound=BaseModel)
Answer = dict[str, Any]
_Asked = Callable[[web.Request, PromptStore], Awaitable[Answer]]
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_LABEL: TypeAdapter[str] = TypeAdapter(Label)
_MAX_NODES = 1_000_000
"""A text may be full of commas, and this is not the way of requests."""
_LISTED = 100
_TOLD = 5
"""Findings in a refusal."""


def serve_prompts(app: web.Application) -> None:
    """Add the URLs to `app`; without a ledger they say that there is none."""
    app.add_routes(
        [
            web.get("/admin/prompts", _handler(several)),
            web.post("/admin/prompts", _handler(push, is_change=True)),
            web.get("/admin/prompts/{name}", _handler(show)),
            web.get("/admin/prompts/{name}/versions", _handler(versions)),
            web.get("/admin/prompts/{name}/versions/{version}", _handler(version)),
            web.get("/admin/prompts/{name}/diff", _handler(diff)),
            web.get("/admin/prompts/{name}/audit", _handler(audit)),
            web.get("/admin/prompts-audit", _handler(audit)),
            web.post("/admin/prompts/{name}/labels/{label}/activate", activate_prompt),
            web.post("/admin/prompts/{name}/labels/{label}/rollback", rollback_prompt),
            web.post("/admin/prompts/{name}/labels/{label}/split", _handler(split, is_change=True)),
            web.post("/admin/prompts/{name}/labels/{label}/stop", _handler(stop, is_change=True)),
            web.post("/admin/prompts/{name}/shadow", _handler(shadow, is_change=True)),
            web.post("/admin/prompts/{name}/archive", _handler(archive, is_change=True)),
            web.post("/admin/prompts/{name}/restore", _handler(restore, is_change=True)),
        ]
    )


def _handler(handle: _Asked, *, is_change: bool = False) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        async with database_of(request, "Prompts are kept") as database:
            answer = await handle(request, PromptStore(database, SystemClock()))
        if is_change:
            await _tell(request)
        return json_response(answer, status=201 if answer.get("status") == "created" else 200)

    return handler


async def _tell(request: web.Request) -> None:
    """Have the processes here know it at once. One that cannot be asked looks for itself, as always."""
    with contextlib.suppress(ProcessSilent):
        await request.app[CREW].ask("prompts.refresh", {})


# ------------------------------------------------------------------ what there is


async def several(request: web.Request, store: PromptStore) -> Answer:
    limit = _whole(request, "limit", _LISTED, most=MOST_LISTED)
    after = request.query.get("after", "")
    prompts = await store.several(after=after and _tame(after), limit=limit)
    return {"prompts": prompts, "next": prompts[-1]["name"] if len(prompts) == limit else None}


async def show(request: web.Request, store: PromptStore) -> Answer:
    return await store.show(name_in(request))


async def versions(request: web.Request, store: PromptStore) -> Answer:
    return {"versions": await store.versions(name_in(request))}


async def version(request: web.Request, store: PromptStore) -> Answer:
    return await store.version(name_in(request), request.match_info["version"])


async def diff(request: web.Request, store: PromptStore) -> Answer:
    """What one version says otherwise than another, line by line; the same twice: what it says."""
    name, which = name_in(request), [request.query.get(side, NEWEST) for side in ("before", "after")]
    versions = [await store.version(name, each) for each in which]
    documents = [PromptDocument.model_validate_json(json_bytes.dumps(each["document"])) for each in versions]
    lines = await asyncio.to_thread(difference, *documents)  # a document may be a megabyte
    before, after = (each["version"] for each in versions)
    return {"before": before, "after": after, "lines": [line._asdict() for line in lines]}


async def audit(request: web.Request, store: PromptStore) -> Answer:
    limit = _whole(request, "limit", _LISTED, most=MOST_LISTED)
    before = _whole(request, "before", 0, most=10**15) or None
    name = name_in(request) if "name" in request.match_info else None
    changes = await store.audit(name, before=before, limit=limit)
    return {"changes": changes, "next": changes[-1]["seq"] if len(changes) == limit else None}


# ------------------------------------------------------------------ changes


async def push(request: web.Request, store: PromptStore) -> Answer:
    asked = await _body(request, Push)
    document = asked.document.model_dump(mode="json", exclude_defaults=True)
    findings = (await request.app[CREW].ask("prompts.check", {"document": document}))[0]
    if (wrong := errors_in(findings)) and not asked.force:
        told = "; ".join(f"{placed(found)}: {found['message']}" for found in wrong[:_TOLD])
        raise BadRequest(
            f"Lint refuses it: {told}. `gateway prompts lint` tells all of it; `force` pushes it all the same.",
            param="document",
            code="prompt_lint",
        )
    pushed = await store.push(asked.document, author=asked.author, id_=asked.id, label=asked.label)
    return {**pushed, "findings": findings}


async def activate(request: web.Request, store: PromptStore) -> Answer:
    asked = await _body(request, Activate)
    return await store.activate(name_in(request), _label(request), asked.version, author=asked.author)


async def rollback(request: web.Request, store: PromptStore) -> Answer:
    asked = await _body(request, Rollback)
    return await store.rollback(name_in(request), _label(request), author=asked.author, expected=asked.expected)


activate_prompt = _handler(activate, is_change=True)
rollback_prompt = _handler(rollback, is_change=True)
"""These two are on the page as well."""


async def split(request: web.Request, store: PromptStore) -> Answer:
    asked = await _body(request, Split)
    weights = {each.version: each.weight for each in asked.versions}
    if len(weights) < len(asked.versions):
        raise BadRequest("A version is named twice: name each once, with its weight.", param="versions")
    return await store.split(name_in(request), _label(request), weights, asked.sticky_by, author=asked.author)


async def stop(request: web.Request, store: PromptStore) -> Answer:
    asked = await _body(request, Change)
    return await store.stop(name_in(request), _label(request), author=asked.author)


async def shadow(request: web.Request, store: PromptStore) -> Answer:
    asked = await _body(request, SetShadow)
    return await store.shadow(name_in(request), asked.shadow, author=asked.author)


async def archive(request: web.Request, store: PromptStore) -> Answer:
    return await store.archive(name_in(request), author=(await _body(request, Change)).author)


async def restore(request: web.Request, store: PromptStore) -> Answer:
    return await store.restore(name_in(request), author=(await _body(request, Change)).author)


# ------------------------------------------------------------------ what is asked


def name_in(request: web.Request) -> str:
    """The name or id that the URL has. Raises NotFound for what can be neither."""
    return _tame(request.match_info["name"])


def _tame(name: str) -> str:
    """What cannot be a name or an id need not be looked for, nor could every database."""
    if not _NAME.fullmatch(name):
        raise NotFound("There is no such prompt: a name or id has letters, digits, '_', '-' and '.'.")
    return name


def _label(request: web.Request) -> str:
    try:
        return _LABEL.validate_python(request.match_info["label"])
    except ValidationError:
        raise BadRequest(
            "A label has from 1 to 32 lower-case letters, digits, '_' and '-', and begins with a letter.", param="label"
        ) from None


async def _body(request: web.Request, model: type[M]) -> M:
    fields = parse_object(await request.read() or b"{}", max_nodes=_MAX_NODES)
    try:
        return model.model_validate_json(json_bytes.dumps(fields))
    except ValidationError as error:
        problems = [_told(each) for each in error.errors(include_url=False, include_input=False, include_context=False)]
        raise BadRequest("That cannot be done: " + "; ".join(problems) + ".") from None


def _told(error: Mapping[str, Any]) -> str:
    words = "expected a known field" if error["type"] == "extra_forbidden" else str(error["msg"])
    return ": ".join(part for part in (dotted(tuple(error["loc"])), words.removeprefix("Value error, ")) if part)


def _whole(request: web.Request, name: str, default: int, *, most: int) -> int:
    given = request.query.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= 16 and 1 <= int(given) <= most):
        raise BadRequest(f"'{name}' must be a whole number from 1 to {most}.", param=name)
    return int(given)
