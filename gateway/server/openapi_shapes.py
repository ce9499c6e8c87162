"""What one operation of the admin API is in OpenAPI's terms, for those who describe theirs."""

from dataclasses import dataclass
from typing import Any

SCHEMAS = "#/components/schemas/"
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    summary: str
    answer: Schema
    status: int = 200
    query: tuple[tuple[str, str], ...] = ()
    """Name and meaning of each parameter."""
    body: Schema | None = None
    failures: tuple[int, ...] = ()
    """Statuses beside 401 that are to be reckoned with; each is OpenAI's error object."""


def ref(name: str) -> Schema:
    """What stands under `name` among the schemas."""
    return {"$ref": SCHEMAS + name}


def object_of(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


ANY: Schema = {"type": "object"}
WHOLE: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
