"""Which endpoint's rules take a request apart."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.tokens import chat, responses, texts
from gateway.tokens.part import Part
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
