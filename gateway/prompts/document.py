"""What a version of a prompt says: every key of it, strict, with its bounds.

The same document is a file in somebody's repository (`files.py`), the body of a push, and a row of the
database; once it is a numbered version nobody changes it.
"""

import hashlib
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field

from gateway.config.fields import Name, Section, Usd

MAX_BYTES = 1 << 20
"""Of a document as JSON."""
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", examples=["production"])]
"""Starts with a letter, so that it is never taken for the number of a version."""
PRODUCTION = "production"
"""The label that a caller gets who names neither version nor label."""
Kind = Literal["text", "number", "boolean", "list", "object", "image", "file"]
"""`image` and `file` stand in a message as parts of their own, all others as text."""
WhenOver = Literal["reject", "warn"]


class Variable(Section):
    """A value that the caller gives."""

    type: Kind = "text"
    default: Any = Field(None, description="holds where the caller gives none; null: it has to")
    untrusted: bool = Field(False, description="wrapped in delimiters that its own content cannot forge")
    max_chars: int = Field(100_000, ge=1, le=10_000_000, description="of its text, or of its JSON")
    description: str = Field("", max_length=1000)

    @property
    def is_required(self) -> bool:
        return self.default is None


class Message(Section):
    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(description="a Jinja2 template")


class PromptDocument(Section):
    """One version of a prompt, without its number."""

    name: Name
    messages: tuple[Message, ...] = Field(min_length=1, max_length=200)
    variables: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], Variable] = Field(
        default_factory=dict
    )
    model: str | None = Field(None, min_length=1, max_length=256, description="where the request names none")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="fields of the request, where it does not set them itself"
    )
    tools: tuple[dict[str, Any], ...] | None = None
    response_format: dict[str, Any] | None = Field(None, description="as in chat completions")
    token_budget: int | None = Field(None, ge=1, description="tokens that the rendered messages may have")
    over_budget: WhenOver = "reject"
    whitespace: Literal["trim", "reject", "warn"] = Field(
        "trim", description="what becomes of spaces at the end of a rendered message"
    )
    notes: str = Field("", max_length=10_000)

    def as_json(self) -> bytes:
        """The document as it is kept and hashed: equal documents are equal bytes."""
        return orjson.dumps(self.model_dump(mode="json", exclude_defaults=True), option=orjson.OPT_SORT_KEYS)

    @property
    def digest(self) -> str:
        """64 hex digits; equal for equal documents, so that pushing one again changes nothing."""
        return hashlib.sha256(self.as_json()).hexdigest()


class Shadow(Section):
    """A version that is rendered and answered beside the one the caller gets, and is never shown."""

    version: int = Field(ge=1)
    share: float = Field(gt=0, le=1)
    usd_per_day: Usd = 1.0
