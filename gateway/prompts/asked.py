"""What operators ask to have changed: bodies of the admin API."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.fields import Section
from gateway.prompts.document import Label, PromptDocument, Shadow

Author = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="whom the audit trail names")
]


class Change(Section):
    author: Author = "admin"


class Push(Change):
    document: PromptDocument
    id: Annotated[str, Field(pattern=r"^pmpt_[A-Za-z0-9]{1,120}$")] | None = Field(
        None, description="that it had elsewhere; without one a new prompt gets one"
    )
    label: Label | None = Field(None, description="pointed at the version at once")
    force: bool = Field(False, description="whatever lint says of it")


class Activate(Change):
    version: int = Field(ge=1)


class Rollback(Change):
    expected: int | None = Field(
        None, ge=1, description="409 where the label is not at this version, so that it can be repeated"
    )


class WeightedVersion(Section):
    version: int = Field(ge=1)
    weight: int = Field(ge=1, le=1_000_000)


class Split(Change):
    versions: tuple[WeightedVersion, ...] = Field(json_schema_extra={"minItems": 2, "maxItems": 10})
    sticky_by: Literal["user", "conversation"] = "user"


class SetShadow(Change):
    shadow: Shadow | None = Field(description="null stops it")
