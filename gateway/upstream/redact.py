"""Keeping an upstream from telling our secrets to a client: some repeat the key in their error messages."""

import re

from gateway.config.model import Upstream

_SHORTEST = 8
"""Bytes; anything shorter would be found everywhere."""
_CREDENTIAL = re.compile(r"auth|key|token|secret|password|cookie", re.IGNORECASE)
"""Names of headers and parameters whose values are credentials; `api-version` is none, and may stand in an answer."""


def secrets_of(config: Upstream) -> tuple[bytes, ...]:
    """What we send to this upstream and nobody else may see."""
    named = {**config.headers, **config.query}
    values = [value for name, value in named.items() if _CREDENTIAL.search(name)]
    if config.api_key is not None:
        values.append(config.api_key.get_secret_value())
    return tuple(value.encode() for value in values if len(value) >= _SHORTEST)


def redact(data: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """`data` with every byte of a secret replaced by `*`; its length stays, so that a promised length holds."""
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, b"*" * len(secret))
    return data
