"""Which endpoint's rules take a request apart."""

from collections.abc import Iterable

from gateway.tokens import chat
from gateway.tokens.part import Part
from gateway.values import Request


def prompt_parts(request: Request) -> Iterable[Part]:
    """The parts of `request`'s prompt in the order the model reads them."""
    return chat.parts(request.fields)
