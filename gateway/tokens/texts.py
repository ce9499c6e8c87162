"""The prompts that are bare text: completions and embeddings. No overhead, so always exact."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.tokens.part import Part


def completion_parts(fields: Mapping[str, Any], _model: str) -> Iterator[Part]:
    yield from _texts("prompt", fields.get("prompt"))
    yield from _texts("suffix", fields.get("suffix"))


def embedding_parts(fields: Mapping[str, Any], _model: str) -> Iterator[Part]:
    yield from _texts("input", fields.get("input"))


def _texts(label: str, value: Any) -> Iterator[Part]:
    """A string, strings, token ids, or lists of them."""
    if isinstance(value, str):
        yield Part(label, (value,))
    elif isinstance(value, list):
        ids = sum(1 if isinstance(item, int) else len(item) if isinstance(item, list) else 0 for item in value)
        yield Part(label, tuple(item for item in value if isinstance(item, str)), ids)
