"""Request headers → Caller, or `InvalidKey`.

Keys are looked up by the SHA-256 of what was presented, so neither the lookup's timing nor a heap
dump of the table says anything about a secret.
"""

import hashlib
from collections.abc import Mapping

from gateway.config.model import Config, Key
from gateway.errors import InvalidKey
from gateway.exchange import Headers
from gateway.values import Caller

_MAX_KEY_LENGTH = 1024


class Identifier:
    """Knows every caller of one configuration."""

    def __init__(self, config: Config) -> None:
        self._auth = config.auth
        self._unlisted = () if config.budgets else None
        """What callers without a key of ours may pass through."""
        self._anonymous = Caller("anonymous", passthrough=self._unlisted)
        with_budgets = {team.name for team in config.teams if team.budgets}
        self._callers: Mapping[bytes, Caller] = {
            _digest(key.key.get_secret_value()): Caller(
                name=key.name,
                team=key.team,
                routes=None if key.routes is None else frozenset(key.routes),
                passthrough=_passthrough(key, is_limited=bool(config.budgets) or key.team in with_budgets),
            )
            for key in config.keys
        }

    def identify(self, headers: Headers) -> Caller:
        """Who sent a request with these headers.

        A key we issued is known under every `auth`. Otherwise `none` calls everybody `anonymous`;
        `passthrough` names a caller by the hash of its own key, which then goes upstream.
        """
        secret = bearer(headers)
        caller = self._callers.get(_digest(secret)) if secret is not None else None
        if caller is not None:
            return caller
        if self._auth == "none":
            return self._anonymous
        if self._auth == "passthrough" and secret is not None:
            name = f"client-{_digest(secret).hex()[:12]}"
            return Caller(name, passthrough=self._unlisted, has_own_credentials=True)
        raise InvalidKey


def _passthrough(key: Key, *, is_limited: bool) -> tuple[str, ...] | None:
    """What `key` may pass through: as listed; else all, but nothing under a budget: such calls would get around it."""
    if key.passthrough is None and (is_limited or key.budgets):
        return ()
    return key.passthrough


def bearer(headers: Headers) -> str | None:
    """The credential of `Authorization: Bearer …`; None when absent, doubled or not of that form."""
    values = headers.getall("authorization", ())
    if len(values) != 1:
        return None
    scheme, _, secret = values[0].partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret or len(secret) > _MAX_KEY_LENGTH:
        return None
    return secret


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
