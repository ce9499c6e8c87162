"""Which route a request takes, and which models a caller may name: the first match wins."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate

from gateway.config.model import Route
from gateway.errors import ModelNotFound, NotAllowed
from gateway.values import Caller


@dataclass(frozen=True, slots=True)
class _Entry:
    route: Route
    models: re.Pattern[str]

    def admits(self, caller: Caller) -> bool:
        """Whether `caller` may use this route at all."""
        if caller.routes is not None and self.route.name not in caller.routes:
            return False
        teams = self.route.match.teams
        return teams is None or caller.team in teams

    def serves(self, endpoint: str) -> bool:
        endpoints = self.route.match.endpoints
        return endpoints is None or endpoint in endpoints


class RouteTable:
    """The routes of one configuration in their order."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._entries = tuple(_Entry(route, _any_of(route.match.models)) for route in routes)

    def match(self, model: str, endpoint: str, caller: Caller, *, named: str | None = None) -> Route:
        """The route for `model` on `endpoint`; `named` is the route the client asked for itself.

        Raises NotAllowed for a named route that this caller may not use or that does not exist (one
        answer for both, so that names cannot be guessed), ModelNotFound where nothing matches.
        """
        if not _may_send(model, caller):
            raise ModelNotFound(model)
        if named is not None:
            return self._named(named, endpoint, caller)
        for entry in self._entries:
            if entry.serves(endpoint) and entry.models.fullmatch(model) and entry.admits(caller):
                return entry.route
        raise ModelNotFound(model)

    def _named(self, name: str, endpoint: str, caller: Caller) -> Route:
        for entry in self._entries:
            if entry.route.name == name and entry.serves(endpoint) and entry.admits(caller):
                return entry.route
        raise NotAllowed("This key may not use the route named in 'x-gateway-route'.")

    def admitted(self, caller: Caller) -> Iterator[Route]:
        """Every route `caller` may use, in order."""
        return (entry.route for entry in self._entries if entry.admits(caller))

    def aliases(self, caller: Caller) -> list[str]:
        """The model names this caller may send that routes spell out in full, in order, once each."""
        names = (
            name
            for route in self.admitted(caller)
            for name in route.match.models
            if not any(mark in name for mark in "*?[") and _may_send(name, caller)
        )
        return list(dict.fromkeys(names))


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{translate(pattern)})" for pattern in patterns))


def _may_send(model: str, caller: Caller) -> bool:
    return caller.models is None or any(fnmatchcase(model, pattern) for pattern in caller.models)
