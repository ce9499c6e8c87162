"""The nouns of this project: what one capability hands to the next.

All are frozen; the one mutable thing a request has is its `Record` (`record.py`). Token counts are
plain integers, money is integer nano-dollars (1 USD = 10**9), times are seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal, TypeVar

from gateway.value import value

T = TypeVar("T")
LONGEST_NAME = 256
"""Characters of a model's name that are shown or kept."""
NANO = 1_000_000_000
"""Nano-dollars in a dollar."""

EndpointName = Literal["chat", "completions", "embeddings", "responses"]
"""The URLs that are counted, capped, routed, cached and priced."""

CountKind = Literal["exact", "fitted", "bound"]
"""How far a token count can be trusted: by a published rule, by a rule fitted on real usage, or as an upper bound."""

CostSource = Literal["reported", "computed", "estimated"]
"""Who says what a call cost: the upstream itself, its usage times our price, or our own count times our price."""

CacheOutcome = Literal["hit", "miss", "coalesced", "stale", "bypass"]
"""Coalesced: answered by the upstream call that an identical request was already making. Stale: the upstream failed,
and an answer that is no longer fresh was served."""


OWN_CALLS = ("shadow", "semantic")
"""What calls are booked under, as their endpoint and their key, that the gateway makes of itself: to compare tiers, and
to find out which questions are alike."""


def printable(name: str) -> str:
    """`name` as whatever keeps it takes it: clients make models up, with half a surrogate or a NUL in them, or 8 MB
    long."""
    if len(name) > LONGEST_NAME:
        name = name[:LONGEST_NAME]
    return name if name.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in name)


@value
class Caller:
    """Who asks, as far as admission, routing and accounting care."""

    name: str
    """The key's; `anonymous`, or a hash under `auth: passthrough`."""
    team: str | None = None
    routes: frozenset[str] | None = None
    """Names of the routes this caller may use; None means all."""
    models: tuple[str, ...] | None = None
    """Patterns of the model names it may send; None means all."""
    passthrough: tuple[str, ...] | None = None
    """Path patterns this caller may pass through; None means all."""
    has_own_credentials: bool = False
    """Under `auth: passthrough`: the client's own credentials go upstream in place of ours."""


@value
class Request:
    """One inference request. `fields` is `body` parsed, and is read, never written.

    What the gateway means to change stands in `edits` (top-level field → new JSON value) and is
    spliced into the bytes as they leave, so that everything else reaches the upstream as sent.
    """

    endpoint: str
    """An `EndpointName`."""
    body: bytes
    fields: Mapping[str, Any]
    model: str
    is_stream: bool = False
    wants_usage: bool = False
    """The client itself asked for the usage chunk of a stream."""
    choices: int = 1
    completion_caps: Mapping[str, int] = field(default_factory=dict)
    """The completion limit as the client set it, under each spelling it used; nulls are left out."""
    completion_cap: int | None = None
    """The limit that holds, after the route's policy."""
    edits: Mapping[str, Any] = field(default_factory=dict)
    derived: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was worked out from this request alone, by whoever did; a body that comes again is the same request."""

    def once(self, work: Callable[["Request"], T]) -> T:
        """`work(self)`, done the first time that this very request comes.

        `work` must be a plain function of it, and its result is nobody's to change.
        """
        try:
            result: T = self.derived[work]
        except KeyError:
            result = self.derived[work] = work(self)
        return result

    def capped(self, completion_cap: int | None, edits: Mapping[str, Any]) -> "Request":
        """The same with another limit and other edits (`dataclasses.replace` takes three times as long)."""
        return Request(
            self.endpoint,
            self.body,
            self.fields,
            self.model,
            self.is_stream,
            self.wants_usage,
            self.choices,
            self.completion_caps,
            completion_cap,
            edits,
        )


@value
class Estimate:
    """What a request is worth before it is sent."""

    prompt_tokens: int
    kind: CountKind
    completion_tokens: int | None = None
    """The most it may generate over all choices; None when nothing bounds it."""


@value
class Standing:
    """How much is left of a rate limit, of several the tightest."""

    limit: int
    """Requests or tokens a minute."""
    remaining: int
    reset_s: float
    """Seconds until all of it is there again, if nobody takes any meanwhile."""


@value
class Target:
    """One model on one upstream, written `openai/gpt-4o-mini`."""

    upstream: str
    model: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.model}"

    @property
    def printable(self) -> str:
        """`upstream/model` for a log, a header, a row; the upstream alone where no model is named."""
        return printable(f"{self.upstream}/{self.model}" if self.model else self.upstream)

    @classmethod
    def parse(cls, text: str) -> "Target":
        """The part before the first slash is the upstream: model names may hold slashes themselves."""
        upstream, _, model = text.partition("/")
        return cls(upstream, model)


@value
class Question:
    """What a tier is chosen by: the user's words, and what stands around them."""

    text: str
    """What the user asked last; `""` where that is no text."""
    earlier: tuple[str, ...] = ()
    """What the user asked before in this conversation, the latest first; a few."""
    system: str = ""
    """The operator's instructions to the model, as the client sends them."""
    has_tools: bool = False
    has_images: bool = False


@value
class Decision:
    """Where a request goes and why: `targets` in the order they are tried, never empty."""

    targets: tuple[Target, ...]
    tier: str
    """`cheap`, `expensive`, or `none` where the route names an upstream instead of a tier."""
    reason: str
    """One of a fixed few words; it is a metric label."""
    probability: float | None = None
    """That the expensive tier is needed, where the classifier was asked."""
    compare_with: Target | None = None
    """What a saving by tier is measured against: the expensive tier's first target, on `auto` routes."""
    rule: str | None = None
    """Which of the route's rules decided, and where it found what it looks for."""
    is_shadowed: bool = False
    """The other tier is to answer as well, for comparison."""


@value
class Trace:
    """Where the spans of a sampled request stand, and what the upstream is told of them (W3C Trace Context)."""

    trace_id: int
    span_id: int
    """Of the request."""
    call_id: int
    """Of the call: the upstream's parent."""
    parent_id: int | None = None
    """The client's span, where it named one."""
    state: str = ""
    """Its tracestate."""


@value
class Usage:
    """Token counts as billed. `cached_input`, `cache_write` and `audio_input` are disjoint parts of `input`;
    `reasoning` and `audio_output` are parts of `output`."""

    input: int
    output: int
    cached_input: int = 0
    """Read from the upstream's own cache."""
    reasoning: int = 0
    cost_nanousd: int | None = None
    """What the upstream itself says the call cost, where it does."""
    cache_write: int = 0
    """Put into the upstream's own cache, where it charges for that."""
    audio_input: int = 0
    audio_output: int = 0
    service_tier: str | None = None
    """The class of service the upstream says it gave: `default`, `flex`, `priority`, …"""


@value
class Rates:
    """Prices of one model in integer pico-dollars a token (USD per million tokens times 10**6).

    Pico, because 37.5 nano-dollars a token is a real price.
    """

    input: int
    cached_input: int
    output: int
    cache_write: int | None = None
    """None: as `input`."""
    audio_input: int | None = None
    """None: nobody says what sound costs, which is not what text costs."""
    audio_output: int | None = None
    longer: "tuple[tuple[int, Rates], ...]" = ()
    """Ascending: a prompt of more tokens than this is charged at these, all of its request."""
    service_tiers: Mapping[str, int] = field(default_factory=dict)
    """Class of service → thousandths of the price; 1000 where it is not named."""


@value
class ModelLimits:
    """The most tokens that a model takes; None where nobody says."""

    context: int | None = None
    """Prompt and completion together."""
    completion: int | None = None


@value
class Cost:
    nanousd: int
    source: CostSource


@value
class Transcript:
    """What an upstream answered, once it is over.

    `body` is the whole answer in its non-streamed JSON form; for a stream it is put together
    from the events, and is None when that was not needed or could not be done.
    """

    status: int
    is_complete: bool
    """A finish reason was seen, no error, no cut: the only kind that may be stored or called a success."""
    body: bytes | None = None
    usage: Usage | None = None
    completion_text: str | None = None
    """What was generated so far, kept only where `usage` is missing and tokens have to be counted."""
    finish_reason: str | None = None
    """In the upstream's words, of the first choice."""
