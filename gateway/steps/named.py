"""A client's request that names a prompt, as it came: for whoever makes a request of it, once or once more."""

from collections.abc import Mapping
from typing import Any

from gateway.prompts.version import Prompt
from gateway.value import value
from gateway.wire.prompted import Asked


@value
class Named:
    endpoint: str
    body: bytes
    fields: Mapping[str, Any]
    asked: Asked


@value
class Beside:
    """What a shadow version of the prompt would be rendered from."""

    named: Named
    prompt: Prompt
