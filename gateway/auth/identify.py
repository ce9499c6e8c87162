"""Request headers → Caller, or `InvalidKey`.

Keys are looked up by the SHA-256 of what was presented, so neither the lookup's timing nor a heap
dump of the table says anything about a secret.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

from gateway.config.model import Key
from gateway.errors import InvalidKey
from gateway.exchange import Headers
from gateway.values import Caller

ANONYMOUS = Caller("anonymous")
_MAX_KEY_LENGTH = 1024


class Identifier:
    """Knows every caller of one configuration."""

    def __init__(self, auth: Literal["required", "passthrough", "none"], keys: tuple[Key, ...]) -> None:
        self._auth = auth
        self._callers: Mapping[bytes, Caller] = {
            _digest(key.key.get_secret_value()): Caller(
                name=key.name,
                team=key.team,
                routes=None if key.routes is None else frozenset(key.routes),
                passthrough=key.passthrough,
            )
            for key in keys
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
            return ANONYMOUS
        if self._auth == "passthrough" and secret is not None:
            return Caller(f"client-{_digest(secret).hex()[:12]}", has_own_credentials=True)
        raise InvalidKey


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
