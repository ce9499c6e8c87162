"""What the variables of a template are made of: JSON's values, text that is not to be trusted, and attachments."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from gateway.value import value

_ID_CHARS = 16


class Untrusted(str):
    """Text from somewhere that the prompt's author does not trust; what is made from it is of this kind too."""

    __slots__ = ()


@value
class Attachment:
    """An image or a file: `part` is OpenAI's `input_image` or `input_file` object as the caller gave it."""

    variable: str
    part: Mapping[str, Any]

    def __str__(self) -> str:
        raise TypeError("an image or a file stands alone: {{ name }}, without filters or operators")


def untrusted(value: Any) -> Any:
    """`value` with all its texts marked, the keys of objects too."""
    if isinstance(value, str):
        return Untrusted(value)
    if isinstance(value, list):
        return [untrusted(item) for item in value]
    if isinstance(value, dict):
        return {Untrusted(key): untrusted(item) for key, item in value.items()}
    return value


def holds_untrusted(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(holds_untrusted, value))
    if isinstance(value, dict):
        return any(isinstance(key, Untrusted) or holds_untrusted(item) for key, item in value.items())
    return isinstance(value, Untrusted)


def fenced(text: str) -> str:
    """`text` between delimiters that stand nowhere in it.

    They carry a hash of the text, so that equal requests stay equal and a cache can know them; and since a text
    that holds the hash is hashed again, nobody can write one that closes its own delimiter, not even by luck.
    """
    name = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    while name[:_ID_CHARS] in text:
        name = sha256(name.encode()).hexdigest()
    name = name[:_ID_CHARS]
    return f"<untrusted-{name}>\n{text}\n</untrusted-{name}>"


def to_json(value: Any, *, indent: bool = False) -> str:
    """`value` as JSON; TypeError for what is none."""
    option = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(value, option=option).decode()
    except TypeError:  # half a surrogate pair, an integer beyond 64 bits; or an attachment, which fails again
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), indent=2 if indent else None)
