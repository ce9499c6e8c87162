"""Keys of money: what models cost, and how much of it and of everything else may be spent."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.fields import MAX_BUDGET, PerMinute, Seconds, Section, Usd
from gateway.values import NANO


class TokenPrices(Section):
    """USD per million tokens."""

    input: Usd
    output: Usd
    cached_input: Usd | None = Field(None, description="read from the upstream's cache; default: as input")
    cache_write: Usd | None = Field(None, description="put into the upstream's cache; default: as input")
    audio_input: Usd | None = Field(None, description="default: calls with sound have no known price")
    audio_output: Usd | None = Field(None, description="default: calls that answer with sound have no known price")


class LongContext(TokenPrices):
    above: int = Field(ge=1, description="prompts of more tokens pay these prices for the whole request")


class Price(TokenPrices):
    long_context: tuple[LongContext, ...] = ()
    service_tiers: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        {}, examples=[{"flex": 0.5, "priority": 2}], description="times the price; 1 for a class that is not named"
    )


class ModelLimit(Section):
    """What a model takes, in tokens, where the price data lacks it or is wrong."""

    context: int | None = Field(None, ge=1, description="prompt and completion together")
    completion: int | None = Field(None, ge=1, description="the longest answer")


class Limits(Section):
    """Of all requests of a key, a team or a route together, over all processes that share a store."""

    requests_per_minute: PerMinute | None = Field(None, description="cache hits count")
    tokens_per_minute: PerMinute | None = Field(None, description="prompt and completion; cache hits are free")
    concurrent: int | None = Field(None, ge=1, le=1_000_000, description="requests under way; cache hits hold none")


class Budget(Section):
    """Dollars or tokens for a period of the UTC calendar, or in all."""

    usd: float | None = Field(None, gt=0, le=MAX_BUDGET // NANO, description="either this or tokens")
    tokens: int | None = Field(None, ge=1, le=MAX_BUDGET, description="either this or usd")
    per: Literal["hour", "day", "month", "total"]
    on_exceeded: Literal["reject", "cheap"] = Field(
        "reject", description="cheap: `tier: auto` routes go on with the cheap tier; wants a reject beside it"
    )
    on_store_down: Literal["reject", "allow"] = "reject"

    @model_validator(mode="after")
    def _one_unit(self) -> "Budget":
        if (self.usd is None) == (self.tokens is None):
            raise ValueError("expected either usd or tokens")
        return self

    @property
    def unit(self) -> Literal["usd", "tokens"]:
        return "tokens" if self.usd is None else "usd"


class CostBreaker(Section):
    """Steps a route or key down whose spending in a minute leaves what is usual for it."""

    times: float = Field(4, gt=1, description="of what nearly every minute costs at most")
    floor_usd: float = Field(1, ge=0, le=1_000_000, description="a minute that costs less is always fine")
    warm_up_minutes: int = Field(30, ge=5, le=720, description="minutes with spending before anything is unusual")
    step_s: Seconds = Field(20, description="from one step down to the next")
    hold_s: Seconds = Field(60, description="until the first requests try the way back; doubled after each that fails")
    max_completion: int = Field(256, ge=1, description="at the step `cap`")
