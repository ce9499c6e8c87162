"""What a key may do, as a `Caller`; and of a key under another one, no more than that one may.

Pure: configuration in, callers out.
"""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from gateway.auth.secret import digest_of
from gateway.config.model import Config, Rights
from gateway.values import Caller


class Callers:
    """The callers of one configuration, and those it makes of keys that were issued at run time."""

    def __init__(self, config: Config) -> None:
        self._has_budgets = bool(config.budgets)
        self._limited_teams = {team.name for team in config.teams if team.budgets}
        self.unlisted = () if config.budgets else None
        """What callers without a key of ours may pass through."""
        self.by_name: Mapping[str, Caller] = {key.name: self.of(key.name, key) for key in config.keys}
        self.by_digest: Mapping[bytes, Caller] = {
            digest_of(key.key.get_secret_value()): self.by_name[key.name] for key in config.keys
        }

    def of(self, name: str, rights: Rights) -> Caller:
        return Caller(
            name=name,
            team=rights.team,
            routes=None if rights.routes is None else frozenset(rights.routes),
            models=rights.models,
            passthrough=self._passthrough(rights),
        )

    def _passthrough(self, rights: Rights) -> tuple[str, ...] | None:
        """As listed; else all, but nothing where a budget or a list of models would be got around by it."""
        is_limited = self._has_budgets or rights.team in self._limited_teams
        if rights.passthrough is None and (is_limited or rights.budgets or rights.models is not None):
            return ()
        return rights.passthrough


def within(caller: Caller, issuer: Caller) -> Caller:
    """`caller` as far as `issuer` may do the same, in the team that `issuer` is in now."""
    return replace(
        caller,
        team=issuer.team,
        routes=_both(caller.routes, issuer.routes),
        models=_patterns_within(caller.models, issuer.models),
        passthrough=_patterns_within(caller.passthrough, issuer.passthrough),
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _patterns_within(inner: tuple[str, ...] | None, outer: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Of `inner` what `outer` surely covers; None stands for all."""
    if inner is None or outer is None:
        return outer if inner is None else inner
    return tuple(pattern for pattern in inner if any(_covers(wide, pattern) for wide in outer))


def _covers(wide: str, narrow: str) -> bool:
    """Certain only: a pattern is covered by itself, by `*`, and where it has no wildcards by any that matches it."""
    has_wildcard = any(sign in narrow for sign in "*?[")
    return wide in ("*", narrow) or (not has_wildcard and fnmatchcase(narrow, wide))


def exceeds(caller: Caller, issuer: Caller) -> list[str]:
    """In words, what `caller` is meant to have and `issuer` has not."""
    narrowed = within(caller, issuer)
    names = ("routes", "models", "passthrough")
    found = [
        f"{name}: expected only what the issuer '{issuer.name}' may use itself"
        for name in names
        if getattr(caller, name) not in (None, getattr(narrowed, name))
    ]
    if caller.team != issuer.team:
        found.append(f"team: expected that of the issuer '{issuer.name}' ({issuer.team or 'none'})")
    return found
