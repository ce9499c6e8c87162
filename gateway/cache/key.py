"""Which requests may share an answer: request, targets and sharing scope → the name of a cache entry.

Isolation is in the key. Two requests get the same name only if whoever may share (one key, one
team, everyone) sends, to the same targets, JSON that means the same in every field but those that
cannot change an answer. Names hold hashes only: neither prompts nor callers can be read from them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

import orjson

from gateway.value import value
from gateway.values import Caller, Decision, Request
from gateway.wire.repeats import quotes

PREFIX = "gw:cache:"
_SCHEME = 2
"""Part of every key; to be raised when what goes into keys changes."""
_FORM = frozenset({"stream", "stream_options"})
"""Request fields that change how the answer travels, never the answer."""
_BOOKKEEPING = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key"})
"""Request fields that change who is billed. The Responses API repeats them in its answer, which is then one's own."""
_TOOLS_OF_THE_CLIENT = frozenset({"function", "custom"})
"""Tool types the client runs itself. All others run at the provider (web_search, file_search, code_interpreter,
image_generation, mcp, computer_use_preview, …), which reads or changes the world there."""
_MOST_DERIVED = 64
"""Of one request that many callers send, each with a scope of its own."""
_MANY_DIGITS = re.compile(rb"[0-9]{16}")
"""More than a double can tell apart."""


@value
class CacheKey:
    """`gw:cache:{hash of the route}:{hash of the scope}:{hash of everything}`: what a purge names is in the name."""

    name: str


def bypass_reason(request: Request) -> str | None:
    """Why `request` has nothing to do with the cache, as a metric label; None when it may be cached.

    These requests make or use state at the provider: a stored answer would skip the change, or
    outlive what it refers to. Temperature is no reason: who turns the cache on accepts one answer.
    """
    fields = request.fields
    store = fields.get("store")
    if store or (request.endpoint == "responses" and store is None):  # the Responses API stores by default
        return "stores_upstream"
    for name in ("previous_response_id", "conversation", "background"):
        if fields.get(name):
            return name
    if request.endpoint == "responses" and fields.get("prompt"):
        return "stored_prompt"
    if fields.get("web_search_options") is not None or _has_hosted_tool(fields.get("tools")):
        return "hosted_tool"
    if "audio" in _list(fields.get("modalities")):  # its answer has an id that expires upstream
        return "audio"
    return None


def _has_hosted_tool(tools: object) -> bool:
    return any(isinstance(tool, dict) and tool.get("type") not in _TOOLS_OF_THE_CLIENT for tool in _list(tools))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def scope_of(caller: Caller, share: Literal["key", "team", "everyone"]) -> str:
    """Who shares answers with `caller`; one without a team shares with nobody else."""
    if share == "everyone":
        return "everyone"
    if share == "team" and caller.team is not None:
        return f"team:{caller.team}"
    return f"key:{caller.name}"


def cache_key(request: Request, decision: Decision, *, route: str, scope: str, beta: str = "") -> CacheKey:
    """The name under which the answer to `request` of `route`, as `decision` sends it on, is shared within `scope`.

    `beta` is the request's `OpenAI-Beta` header, the one header that changes what an API does with a body.
    """
    name = (cache_key, route, scope, beta, decision.targets)
    key: CacheKey | None = request.derived.get(name)
    if key is None:
        if len(request.derived) >= _MOST_DERIVED:
            request.derived.clear()
        key = request.derived[name] = _key(request, decision, route, scope, beta)
    return key


def _key(request: Request, decision: Decision, route: str, scope: str, beta: str) -> CacheKey:
    targets = [str(target) for target in decision.targets]
    circumstances: list[Any] = [_SCHEME, request.endpoint, route, scope, beta, targets, request.completion_cap]
    content = _canonical(request)
    if content is not None:
        head = orjson.dumps(circumstances)
    else:
        head = json.dumps([*circumstances, "as sent", _effective(request)]).encode()
        content = request.body
    digest = sha256(head + b"\n")  # JSON on one line: no content can pass for a part of it
    digest.update(content)
    return CacheKey(f"{PREFIX}{route_hash(route)}:{scope_hash(scope)}:{digest.hexdigest()}")


def key_with(
    request: Request, changed: Mapping[str, Any], decision: Decision, *, route: str, scope: str, beta: str = ""
) -> CacheKey | None:
    """The name that the answer would have if `request` said `changed` (top-level fields) instead of what it says there;
    None where parsing may have lost a difference that the upstream sees."""
    if _canonical(request) is None:
        return None
    fields = {**request.fields, **changed}
    edits = {name: value for name, value in request.edits.items() if name not in changed}
    other = replace(request, body=orjson.dumps(fields), fields=fields, edits=edits, derived={})
    return _key(other, decision, route, scope, beta)


@lru_cache(maxsize=1024)
def route_hash(route: str) -> str:
    return sha256(b"route:" + route.encode()).hexdigest()[:16]


def would_be_key(request: Request, decision: Decision, *, route: str, caller: Caller) -> str | None:
    """What an entry would be called if `route` had a cache for each key; None where nothing would be stored."""
    if bypass_reason(request) is not None:
        return None
    return cache_key(request, decision, route=route, scope=scope_of(caller, "key")).name


@lru_cache(maxsize=4096)
def scope_hash(scope: str) -> str:
    return sha256(scope.encode()).hexdigest()[:16]


def _canonical(request: Request) -> bytes | None:
    """What `request` asks, whatever its spacing and key order; edits applied.

    None where parsing may have lost a difference that the upstream sees. The bytes themselves are
    the identity then, so that such requests share an answer only if they are byte for byte equal.
    """
    kept = dict(request.fields)
    dropped = {name: kept.pop(name) for name in _without_effect(request) & kept.keys()}
    try:
        text = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
        if _is_lossy(request.body, text, orjson.dumps(dropped)):
            return None
        if request.edits:
            text = orjson.dumps(kept | _effective(request), option=orjson.OPT_SORT_KEYS)
    except TypeError:  # half a surrogate pair, an integer beyond 64 bits, nesting deeper than orjson writes
        return None
    return text


def _effective(request: Request) -> dict[str, Any]:
    """Its edits but for those without effect on the answer."""
    idle = _without_effect(request)
    return {name: value for name, value in request.edits.items() if name not in idle}


def _without_effect(request: Request) -> frozenset[str]:
    return _FORM if request.endpoint == "responses" else _FORM | _BOOKKEEPING


def _is_lossy(body: bytes, kept: bytes, dropped: bytes) -> bool:
    """Whether `kept` and `dropped`, written from the parsed `body`, may together say less than `body` does.

    A member that stands twice is parsed as its last value, though an upstream may take the first:
    whoever could make the two disagree could store an answer under another's question. And integers
    beyond 64 bits are parsed as doubles.
    """
    if quotes(body) != kept.count(b'"') + dropped.count(b'"'):
        return True
    # single bytes are found many times faster than pairs
    return b"+" in kept and b"e+" in kept and _MANY_DIGITS.search(body) is not None
