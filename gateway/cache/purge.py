"""What is no longer to be served: by route, by sharing scope, by both, or everything.

A purge takes effect the moment a process hears of it, however much is stored: every entry carries the
time its upstream call began, and one from before the purge is not served. What it covers is deleted after
that, at leisure. Times are the store's, in milliseconds, so that no two clocks are compared.
"""

from gateway.cache.key import PREFIX, route_hash, scope_hash

_ANY = "*"
_FORGOTTEN_MS = 600_000
"""By then everything a purge covers has been deleted."""


def pattern(route: str | None, scope: str | None) -> str:
    """What a purge covers: the entries of `route`, of `scope` (as `scope_of` writes it), of both, or all."""
    return f"{_ANY if route is None else route_hash(route)}:{_ANY if scope is None else scope_hash(scope)}"


def covers(pattern: str, name: str) -> bool:
    """Whether the entry `name` falls under `pattern`."""
    route, _, scope = pattern.partition(":")
    here_route, here_scope, _ = name[len(PREFIX) :].split(":", 2)
    return route in (_ANY, here_route) and scope in (_ANY, here_scope)


class Purges:
    """The purges this process has heard of, and since when it has heard of all there were."""

    def __init__(self) -> None:
        self.now_ms = 0
        """What is asked for now is younger than every purge before this moment."""
        self._at_ms: dict[str, int] = {}

    def add(self, pattern: str, at_ms: int) -> None:
        self.now_ms = max(self.now_ms, at_ms)
        self._at_ms[pattern] = at_ms
        if len(self._at_ms) > 1:
            self._at_ms = {each: at for each, at in self._at_ms.items() if at > at_ms - _FORGOTTEN_MS}

    def is_purged(self, name: str, asked_ms: int) -> bool:
        """Whether the entry `name`, asked for at `asked_ms`, is no longer to be served."""
        if not self._at_ms:
            return False
        route, scope, _ = name[len(PREFIX) :].split(":", 2)
        at_ms = self._at_ms.get
        return any(
            asked_ms < at_ms(each, 0) for each in (f"{route}:{scope}", f"{route}:*", f"*:{scope}", f"{_ANY}:{_ANY}")
        )
