"""Which endpoint's rules take a request apart, and for which models they come to the same."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.tokens import chat, responses, texts
from gateway.tokens.encodings import encoding_name
from gateway.tokens.images import system_of
from gateway.tokens.part import Part
from gateway.tokens.profile import profile_of
from gateway.values import Request

_RULES: dict[str, Callable[[Mapping[str, Any], str], Iterable[Part]]] = {
    "chat": chat.parts,
    "responses": responses.parts,
    "completions": texts.completion_parts,
    "embeddings": texts.embedding_parts,
}


def prompt_parts(request: Request, model: str) -> Iterable[Part]:
    """The parts of `request`'s prompt as `model` would be given it."""
    return _RULES[request.endpoint](request.fields, model)


@functools.lru_cache(maxsize=4096)
def count_alike(model: str, other: str) -> bool:
    """Whether every prompt counts the same for both: they share encoding, constants and the price of images."""
    return all(of(model) == of(other) for of in (encoding_name, profile_of, system_of))
