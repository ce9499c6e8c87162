"""What a section of the configuration is, and the kinds of values that several of them hold."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.values import NANO

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["support-bot"])]
"""Names end up in metric labels, headers and Redis keys."""
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Usd = Annotated[float, Field(ge=0, le=1_000_000)]
PerMinute = Annotated[int, Field(ge=1, le=1_000_000_000)]
MAX_BUDGET = 9_000_000 * NANO
"""Nano-dollars or tokens. Budgets are added up in Redis by Lua, whose numbers are exact to 2**53 and no further."""
Pattern = Annotated[str, Field(min_length=1, max_length=200, description="shell-style: * and ? match")]
Private = Annotated[str, Field(json_schema_extra={"writeOnly": True})]
"""Text that may be a credential: like a SecretStr, no message ever shows it."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
