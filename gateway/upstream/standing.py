"""How the upstreams of this process are doing, as operators and Prometheus ask for it."""

from collections.abc import Mapping
from typing import Any

from gateway.upstream.client import UpstreamClient
from gateway.upstream.health import Health


def breakers_open(clients: Mapping[str, UpstreamClient], health: Health, now: float) -> dict[tuple[str, ...], float]:
    """Upstream → how many of its targets are left alone or being tried again; 0 stands there too."""
    found: dict[tuple[str, ...], float] = {(name,): 0 for name in clients}
    for target in health.open_targets(now):
        found[(target.upstream,)] += 1
    return found


def upstreams_standing(clients: Mapping[str, UpstreamClient], health: Health, now: float) -> list[dict[str, Any]]:
    """Of each upstream its connections and calls, and of its targets those that failed within the last window."""
    return [
        {
            "name": name,
            "calls": client.calls,
            "in_flight": client.in_flight,
            "connections": client.connections,
            "max_connections": client.config.max_connections,
            "waiting": client.waiting,
            "targets": _targets(name, health, now),
        }
        for name, client in clients.items()
    ]


def _targets(upstream: str, health: Health, now: float) -> list[dict[str, Any]]:
    rows = []
    for target, breaker in health.breakers.items():
        if target.upstream == upstream:
            good, bad = breaker.counts(now)
            rows.append({"model": target.model, "breaker": breaker.state(now), "succeeded": good, "failed": bad})
    return rows
