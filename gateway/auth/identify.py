"""Request headers → credential → Caller, or `InvalidKey`.

Keys are looked up by the SHA-256 of what was presented, so neither the lookup's timing nor a heap
dump of the table says anything about a secret. No key costs a round trip to any store, and what cannot be one of
those that we issue is refused by its checksum.
"""

from dataclasses import field

from gateway.auth.issued import IssuedKeys
from gateway.auth.rights import Callers
from gateway.auth.secret import digest_of, may_be_issued
from gateway.config.model import Config
from gateway.errors import InvalidKey
from gateway.exchange import Headers
from gateway.value import value
from gateway.values import Caller

_MAX_KEY_LENGTH = 1024
_ANONYMOUS, _CLIENT = "anonymous", "client-"


@value
class Credential:
    """What a client presents to say who it is."""

    secret: str = field(repr=False)
    digest: bytes = field(repr=False)
    """`digest_of` it."""


class Identifier:
    """Knows every caller: those of one configuration, and those that were `issued` keys at run time."""

    def __init__(self, config: Config, callers: Callers | None = None, issued: IssuedKeys | None = None) -> None:
        callers = callers or Callers(config)
        self._auth = config.auth
        self._unlisted = callers.unlisted
        self._anonymous = Caller(_ANONYMOUS, passthrough=self._unlisted)
        self._callers = callers.by_digest
        self._issued = issued

    def identify(self, credential: Credential | None) -> Caller:
        """Who presented this credential.

        A key we issued is known under every `auth`. Otherwise `none` calls everybody `anonymous`;
        `passthrough` names a caller by the hash of its own key, which then goes upstream.
        """
        caller = None if credential is None else self._holder(credential)
        if caller is not None:
            return caller
        if credential is not None and may_be_issued(
            credential.secret
        ):  # revoked or expired: nothing to hand on to an upstream
            raise InvalidKey
        if self._auth == "none":
            return self._anonymous
        if self._auth == "passthrough" and credential is not None:
            name = f"{_CLIENT}{credential.digest.hex()[:32]}"  # 128 bits: what is theirs alone hangs on it
            return Caller(name, passthrough=self._unlisted, has_own_credentials=True)
        raise InvalidKey

    def _holder(self, credential: Credential) -> Caller | None:
        caller = self._callers.get(credential.digest)
        if caller is None and self._issued is not None:
            return self._issued.find(credential.secret, credential.digest)
        return caller


def is_unlisted(name: str, auth: str) -> bool:
    """Whether a caller without a key of ours may have this name."""
    return name == _ANONYMOUS if auth == "none" else auth == "passthrough" and name.startswith(_CLIENT)


def credential_in(headers: Headers) -> Credential | None:
    """What a request with these headers presents, if anything."""
    secret = bearer(headers)
    return None if secret is None else Credential(secret, digest_of(secret))


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
