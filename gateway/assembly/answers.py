"""What operators may ask of a process on the admin port.

Each takes JSON and answers JSON, for who asks may be another process.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.admission.admit import Admission
from gateway.auth.identify import is_unlisted
from gateway.auth.issued import IssuedKeys
from gateway.cache.lookup import Cache
from gateway.cache.purge import pattern
from gateway.clock import Clock
from gateway.config.model import Config
from gateway.errors import BadRequest, DatabaseUnavailable, StoreUnavailable
from gateway.prompts.registry import Registry
from gateway.steps.semantic import Semantic
from gateway.telemetry.metrics import Metrics
from gateway.upstream.call import Upstreams
from gateway.upstream.standing import upstreams_standing

if TYPE_CHECKING:
    pass


async def status(config_hash: str, clock: Clock, started_at: float, _: Mapping[str, Any]) -> dict[str, Any]:
    """Of this process: the hash of its configuration, and seconds since it started."""
    return {"pid": os.getpid(), "config": config_hash, "uptime_s": round(clock.wall() - started_at, 1)}


async def upstreams(upstreams: Upstreams, clock: Clock, _: Mapping[str, Any]) -> dict[str, Any]:
    standing = upstreams_standing(upstreams.clients, upstreams.health, clock.monotonic())
    return {"pid": os.getpid(), "upstreams": standing}


async def budgets(admission: Admission, _: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Where every budget stands; None while the store is away."""
    try:
        return await admission.budgets()
    except StoreUnavailable:
        return None


async def refresh_keys(issued: IssuedKeys | None, _: Mapping[str, Any]) -> bool:
    """Know of changed keys now, and not only at the next look; whether that could be done."""
    try:
        if issued is not None:
            await issued.refresh()
    except DatabaseUnavailable:
        return False
    return issued is not None


async def refresh_prompts(prompts: Registry | None, _: Mapping[str, Any]) -> bool:
    """Know of changed prompts now, and not only at the next look; whether that could be done."""
    try:
        if prompts is not None:
            await prompts.refresh()
    except DatabaseUnavailable:
        return False
    return prompts is not None


async def cache_stats(
    cache: Cache, metrics: Metrics, semantic: Semantic | None, _: Mapping[str, Any]
) -> dict[str, Any]:
    found = {"pid": os.getpid(), **cache.stats(), "routes": metrics.cache_figures()}
    return found if semantic is None else {**found, "semantic": semantic.stats()}


async def purge(cache: Cache, config: Config, issued: IssuedKeys | None, asked: Mapping[str, Any]) -> bool:
    """Of a `route`, of the sharing scope of a `key` or `team`, or of both; of all without any of these.

    BadRequest for a name that nobody has, so that a slip of the pen is told.
    """
    known = {"route": [route.name for route in config.routes], "team": [team.name for team in config.teams]}
    for kind, names in known.items():
        if kind in asked and asked[kind] not in names:
            there = ", ".join(names) or "none"
            raise BadRequest(f"No {kind} is called '{asked[kind]}'; there are: {there}.", param=kind)
    if "key" in asked and not await _may_be_called(asked["key"], config, issued):
        there = ", ".join(key.name for key in config.keys) or "none"
        raise BadRequest(
            f"No key is called '{asked['key']}'; the configuration has: {there}; `gateway keys list` shows others.",
            param="key",
        )
    scope = next((f"{kind}:{asked[kind]}" for kind in ("key", "team") if kind in asked), None)
    await cache.purge(pattern(asked.get("route"), scope))
    return True


async def _may_be_called(name: str, config: Config, issued: IssuedKeys | None) -> bool:
    """Whether some caller has this name, revoked ones included; also while that cannot be looked up."""
    if any(key.name == name for key in config.keys) or is_unlisted(name, config.auth):
        return True
    return issued is not None and (not await refresh_keys(issued, {}) or issued.has(name))


async def reopen(semantic: Semantic | None, asked: Mapping[str, Any]) -> bool:
    """Put the semantic cache of a `route` on trial again; BadRequest where it has none."""
    routes = () if semantic is None else semantic.routes
    if semantic is None or asked["route"] not in routes:
        there = ", ".join(routes) or "none"
        raise BadRequest(f"No route '{asked['route']}' has a semantic cache; there are: {there}.", param="route")
    semantic.reopen(asked["route"])
    return True
