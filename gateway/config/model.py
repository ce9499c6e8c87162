"""Every key of the configuration file, with its unit and default.

Those of the process (sockets, log, spans) are in `process.py`, those of money (prices, limits, budgets) in `money.py`.
Frozen and strict: an unknown key, a string where a number belongs or a negative time-out is an
error, never a guess. Rules that span sections are in `check.py`; reading the file is `load.py`.
Capabilities are handed their own section of this and read nothing else.
"""

from math import inf
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, SecretStr, field_validator, model_validator

from gateway.config.database_url import fault_of
from gateway.config.fields import Name, Pattern, Private, Seconds, Section
from gateway.config.money import Budget, CostBreaker, Limits, ModelLimit, Price
from gateway.config.process import Server, Tracing
from gateway.values import EndpointName, Target

Keyword = Annotated[str, Field(pattern=r"^\w[^*]{0,98}\*?$", examples=["refund"], description="whole words, or word*")]
Tier = Literal["cheap", "expensive"]


# ------------------------------------------------------------------ upstreams


class RetryPolicy(Section):
    """What is done about a call that fails before anything has reached the client."""

    attempts: int = Field(
        2, ge=1, le=10, description="tries of a request in all, fallbacks included; 1: none but the first"
    )
    backoff_s: Seconds = Field(0.2, description="before the same upstream is asked again; doubled each time, jittered")
    budget_ratio: float = Field(0.2, ge=0, le=1, description="calls beyond one a request, as a share of the requests")


class BreakerPolicy(Section):
    """When a target (a model on this upstream) is left alone while there are others."""

    failures: int = Field(5, ge=1, description="within the window, and")
    error_ratio: float = Field(0.5, gt=0, le=1, description="of all calls within the window")
    window_s: Seconds = 30
    open_s: Seconds = Field(10, description="until a few calls try whether it works again")


class Upstream(Section):
    """One OpenAI-compatible API."""

    base_url: str = Field(
        pattern=r"^https?://[^\s?#@]+$", examples=["https://api.openai.com/v1"], description="up to and including /v1"
    )
    api_key: SecretStr | None = None
    connect_timeout_s: Seconds = 5
    first_byte_timeout_s: Seconds = Field(120, description="streams: to the first event")
    hold_s: float = Field(2, ge=0, le=60, description="streams: how long to wait on for something of the answer")
    idle_timeout_s: Seconds = Field(60, description="between two chunks")
    total_timeout_s: Seconds = Field(600, description="one request, all tries together; streams: to the first event")
    max_connections: int = Field(512, ge=1)
    max_response_mb: float = Field(64, gt=0, le=1024, description="decoded, non-stream")
    max_event_kb: int = Field(32_768, ge=1, description="one event of a stream; images come as one")
    retries: RetryPolicy = RetryPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    stream_usage: bool = Field(True, description="false: a server that refuses stream_options")
    completion_field: Literal["max_completion_tokens", "max_tokens"] = Field(
        "max_completion_tokens", description="what tokens.default_completion sets on chat"
    )
    headers: dict[str, Private] = Field({}, repr=False, description="sent with every call")
    query: dict[str, Private] = Field({}, repr=False, description="sent with every call (Azure's api-version)")
    ca_file: str | None = Field(None, description="PEM bundle to verify this upstream against")

    @field_validator("base_url")
    @classmethod
    def _without_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")


# ------------------------------------------------------------------ routes


class Match(Section):
    """All that is given must hold."""

    models: tuple[Pattern, ...] = Field(("*",), min_length=1)
    endpoints: tuple[EndpointName, ...] | None = Field(None, description="default: all")
    teams: tuple[Name, ...] | None = Field(None, description="default: all")


class Always(Section):
    """Any one of these is enough."""

    keywords: tuple[Keyword, ...] = Field((), description="in the user's question; * stands for the rest of a word")
    system: tuple[Keyword, ...] = Field((), description="the same, in the system prompt")
    shorter_than: int | None = Field(None, ge=1, description="characters of the user's question")
    longer_than: int | None = Field(None, ge=1, description="characters of the user's question")
    tools: Literal[True] | None = Field(None, description="the request brings tools")
    images: Literal[True] | None = Field(None, description="the request brings images")


class Rules(Section):
    """The operator's word, before the classifier's; where both hold it goes up."""

    always_expensive: Always = Always()
    always_cheap: Always = Always()


class Shadow(Section):
    """Some answered requests also go to the other tier, to learn which would have done; clients never see that."""

    share: float = Field(gt=0, le=0.5, description="of the requests that the classifier decides")
    usd_per_day: float = Field(5, gt=0, le=100_000, description="for these calls and their judge, over all processes")
    judge: Literal["agreement", "schema", "similarity", "model"] = Field(
        "agreement", description="how the two answers are compared"
    )
    judge_model: str | None = Field(None, description="upstream/model that compares them, for judge: model")
    concurrent: int = Field(2, ge=1, le=64, description="such calls at a time, of each process")

    @model_validator(mode="after")
    def _judge_and_model(self) -> "Shadow":
        if (self.judge == "model") != (self.judge_model is not None):
            raise ValueError("expected judge_model with judge: model, and only there")
        return self


class Router(Section):
    """How `tier: auto` decides."""

    rules: Rules = Rules()

    classifier: str | None = Field(
        None, description="JSON file made by `gateway router train`; default: the shipped one"
    )
    threshold: float | None = Field(None, ge=0, le=1, description="expensive from this probability on")
    quality: float | None = Field(None, gt=0, le=1, description="share of the expensive tier's quality to keep")
    sticky: bool = Field(True, description="a conversation that went up stays up")
    adapt: bool = Field(False, description="send more up while labels show the cheap tier worse than believed")
    shadow: Shadow | None = None
    explore: float = Field(
        0,
        ge=0,
        le=0.5,
        description="share of the requests whose tier a coin decides",
    )
    keep_text: bool = Field(False, description="keep the questions that are learned from, not only their features")

    @model_validator(mode="after")
    def _one_knob(self) -> "Router":
        if self.threshold is not None and self.quality is not None:
            raise ValueError("expected threshold or quality, not both")
        return self


class Tokens(Section):
    """Caps, counted before the call."""

    max_prompt: int | None = Field(None, ge=1)
    over_prompt: Literal["reject", "drop_oldest"] = Field(
        "reject", description="drop_oldest: whole turns, never system messages or the last turn"
    )
    max_completion: int | None = Field(None, ge=1, description="caps what the client asks for")
    default_completion: int | None = Field(None, ge=1, description="set when the client asks for nothing")
    trim: Literal["none", "trailing", "all"] = Field("none", description="whitespace that would be paid for")


class Semantic(Section):
    """Present: answers to questions that mean the same are served too, once that has proved right often enough."""

    threshold: float = Field(0.97, ge=0.5, le=1, description="the least cosine of two questions that share an answer")
    check: float = Field(
        0.05, gt=0, le=1, description="share of the hits that go to the model all the same, to compare the answers"
    )
    least_checks: int = Field(
        50, ge=1, le=1000, description="comparisons before anything is served, and before the level may close"
    )
    max_wrong: float = Field(
        0.02, ge=0, lt=1, description="share of wrong answers in the latest 1,000 comparisons above which it closes"
    )
    judge: Literal["similarity", "agreement", "model"] = Field("similarity", description="how two answers are compared")
    same_from: float = Field(
        0.6, gt=0, le=1, description="share of words in common from which answers are the same, for judge: similarity"
    )
    judge_model: str | None = Field(None, description="upstream/model that compares them, for judge: model")
    judge_usd_per_day: float = Field(1, gt=0, le=100_000, description="for the judge model, of each process")

    @model_validator(mode="after")
    def _judge_and_model(self) -> "Semantic":
        if (self.judge == "model") != (self.judge_model is not None):
            raise ValueError("expected judge_model with judge: model, and only there")
        return self


class CachePolicy(Section):
    """Present: answers of this route are cached."""

    ttl_s: int = Field(3600, ge=1, le=31_536_000)
    share: Literal["key", "team", "everyone"] = Field("key", description="who may be served an answer made for another")
    max_entry_kb: int = Field(1024, ge=1, le=65_536)
    stale_if_error_s: int = Field(
        0, ge=0, le=31_536_000, description="how long after ttl_s an answer is served where the upstream fails"
    )
    replay: Literal["burst", "original"] = Field(
        "burst", description="how a stored stream comes: at once, or about as fast as it was made"
    )
    semantic: Semantic | None = None


class Embeddings(Section):
    """What turns questions into vectors, for routes with `cache.semantic`."""

    target: str = Field(examples=["openai/text-embedding-3-small"], description="upstream/model")
    dimensions: int | None = Field(
        None, ge=8, le=16_384, description="asked of models that can shorten their vectors; default: the model's own"
    )
    timeout_s: Seconds = Field(0.3, description="after it the request goes on without")
    concurrent: int = Field(
        32, ge=1, le=1000, description="calls at a time, of each process; beyond, requests go without"
    )
    memory_mb: float = Field(64, gt=0, le=65_536, description="vectors kept in each process")


class Cache(Section):
    """What all routes' caches have in common."""

    memory_mb: float = Field(
        64, ge=0, le=65_536, description="answers kept in each process, in front of the store; with store: memory, all"
    )
    embeddings: Embeddings | None = None


class Route(Section):
    """The first route that matches a request decides everything about it."""

    name: Name
    match: Match = Match()
    tier: Literal["auto", "cheap", "expensive"] | None = None
    upstream: Name | None = Field(None, description="the client's own model name goes there untouched")
    router: Router = Router()
    tokens: Tokens = Tokens()
    cache: CachePolicy | None = None
    on_cut: Literal["error", "restart", "continue"] = Field(
        "error",
        description="chat streams that break off: told, asked for anew while none of the answer was sent, continued",
    )
    passthrough: tuple[Pattern, ...] | None = Field(None, description="paths this route passes through; default: all")
    budgets: tuple[Budget, ...] = ()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _tier_or_upstream(self) -> "Route":
        if (self.tier is None) == (self.upstream is None):
            raise ValueError("expected either tier or upstream")
        return self


# ------------------------------------------------------------------ who may call


class Team(Section):
    name: Name
    budgets: tuple[Budget, ...] = Field((), description="of all its keys together")
    limits: Limits = Limits()


class Rights(Section):
    """What a key may do and spend."""

    team: Name | None = None
    routes: tuple[Name, ...] | None = Field(None, max_length=1000, description="default: all")
    models: tuple[Pattern, ...] | None = Field(
        None, max_length=1000, description="model names it may send; default: all"
    )
    passthrough: tuple[Pattern, ...] | None = Field(
        None, max_length=1000, description="default: all; none where a budget or `models` would be got around"
    )
    tags: dict[Name, Annotated[str, Field(max_length=200)]] = Field({}, max_length=20, description="for people")
    budgets: tuple[Budget, ...] = ()
    limits: Limits = Limits()


class Key(Rights):
    """A virtual key: what clients send in place of the provider's."""

    name: Name
    key: SecretStr = Field(examples=["a-long-random-secret"])

    @field_validator("key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 8:
            raise ValueError("expected a secret of at least 8 characters (is its variable set?)")
        return value


class IssuedKey(Rights):
    """A key that is issued at run time, as the admin API takes it and the database keeps it; not in the file."""

    name: Name
    issuer: Name | None = Field(None, description="the key that it is issued under, and never exceeds")
    expires_at: AwareDatetime | None = None

    @property
    def until_s(self) -> float:
        """Unix time from which it is none any more."""
        return inf if self.expires_at is None else self.expires_at.timestamp()


# ------------------------------------------------------------------ the whole


def _or_boolean(schema: dict[str, Any]) -> None:
    schema["anyOf"].append({"type": "boolean"})


class Config(Section):
    server: Server = Server()
    store: str = Field(
        "memory",
        pattern=r"^(memory|rediss?(\+cluster|\+sentinel)?://\S+)$",
        examples=["memory", "redis://localhost:6379/0"],
        repr=False,  # its URL may hold a password
        description="memory, redis://…, redis+cluster://… or redis+sentinel://…; rediss for TLS",
    )
    store_timeout_s: Seconds = Field(0.05, description="one command; beyond it the store counts as away")
    lease_s: float = Field(
        60, ge=1, le=3600, description="what a process that died had reserved comes back after this at the latest"
    )
    ledger: str = Field(
        "sqlite:///var/ledger.db",
        pattern=r"^(none|sqlite:///[^\s?#]+|postgres(ql)?://\S+)$",
        examples=["none", "sqlite:///var/ledger.db", "postgresql://gateway@db/gateway"],
        repr=False,  # its URL may hold a password
        description="one row for every request: none, sqlite:///FILE or postgresql://…",
    )
    ledger_retention_days: int = Field(400, ge=1, le=36_500, description="older rows are deleted")
    upstreams: dict[Name, Upstream] = Field(
        min_length=1, examples=[{"openai": {"base_url": "https://api.openai.com/v1", "api_key": "${OPENAI_API_KEY}"}}]
    )
    cache: Cache = Cache()
    tiers: dict[Tier, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        {}, description="upstream/model, tried in order"
    )
    routes: tuple[Route, ...] = Field(min_length=1, examples=[[{"name": "default", "upstream": "openai"}]])
    auth: Literal["required", "passthrough", "none"] = "required"
    allow_open: bool = Field(False, description="auth: none on a host others can reach")
    teams: tuple[Team, ...] = ()
    budgets: tuple[Budget, ...] = Field((), description="of the whole gateway")
    keys: tuple[Key, ...] = ()
    cost_breaker: CostBreaker | None = Field(
        None,
        description="true, or its settings; default: off",
        json_schema_extra=_or_boolean,
    )
    tracing: Tracing = Tracing()
    prices: dict[Pattern, Price] = Field({}, description="model or upstream/model, may hold *; over the shipped table")
    unknown_price: Literal["flag", "reject"] = "flag"
    model_limits: dict[Pattern, ModelLimit] = Field({}, description="named as in prices; over the shipped table")

    @field_validator("ledger")
    @classmethod
    def _names_a_database(cls, value: str) -> str:
        if value != "none" and (fault := fault_of(value)) is not None:
            raise ValueError(fault)
        return value

    @field_validator("cost_breaker", mode="before")
    @classmethod
    def _one_line_is_enough(cls, value: object) -> object:
        return {True: {}, False: None}[value] if isinstance(value, bool) else value

    def targets(self, tier: Tier) -> tuple[Target, ...]:
        """The targets of `tier` in the order they are tried; empty when it is not configured."""
        return tuple(Target.parse(text) for text in self.tiers.get(tier, ()))
