"""What chat messages and the Responses API's items have in common: content that is text or a list of parts."""

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.wire.body import wrong_type


def check_content(name: str, content: object) -> None:
    """BadRequest unless `content`, which stands under `name`, is text, a list of objects, or null."""
    if isinstance(content, list):
        for part, value in enumerate(content):
            if not isinstance(value, dict):
                raise wrong_type(f"{name}[{part}]", "an object", value)
    elif content is not None and not isinstance(content, str):
        raise wrong_type(name, "a string or an array", content)


def text_of(content: str | list[dict[str, Any]] | None) -> str:
    """The text of checked content, its parts joined by line ends."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(text for part in content if isinstance(text := part.get("text"), str))


def strings(values: Iterable[object], *, without: frozenset[str]) -> Iterator[str]:
    """Every string in `values` at any depth, but for what stands under the keys `without`."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from strings((item for key, item in value.items() if key not in without), without=without)
        elif isinstance(value, list):
            yield from strings(value, without=without)
