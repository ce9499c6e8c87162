"""What became known of one request, filled in by the pipeline as it goes.

The only mutable object a request has. Ledger rows, metrics, the log line and the response headers
are all derived from it, so they cannot disagree.
"""

from dataclasses import dataclass, field
from typing import Literal

from gateway.values import CacheOutcome, Caller, Cost, Decision, Estimate, Standing, Target, Trace, Usage


@dataclass(slots=True)
class Attempt:
    """One try at one target.

    `outcome` is a metric label: `ok`, `status_4xx`, `status_5xx`, `connect`, `busy`, `invalid`, `timeout`, `cut`,
    `cancelled`.
    """

    target: Target
    outcome: str = "cancelled"
    began_s: float = 0.0
    """On the monotonic clock; 0 where nobody noted it."""
    duration_s: float = 0.0
    is_sent: bool = False
    """Its request has begun to leave: it may be worked on, and billed, whoever waits for it."""

    @property
    def is_given_up(self) -> bool:
        """It was sent, and nobody waited for what came of it."""
        return self.is_sent and self.outcome in ("timeout", "cancelled")

    def note_sent(self) -> None:
        self.is_sent = True


@dataclass(slots=True)
class Record:
    request_id: str
    endpoint: str
    started_at: float
    """Unix seconds."""
    started_s: float
    """On the monotonic clock; the durations below count from here."""
    trace: Trace | None = None
    """Where its spans will stand, if it is sampled."""
    caller: Caller | None = None
    route: str | None = None
    """None until a route has matched."""
    is_stream: bool = False
    prompt: str | None = None
    """Name of the registered prompt that the request was made from."""
    prompt_version: int = 0
    """Of it: its number; 0 without a prompt."""
    prompt_label: str | None = None
    """The label that led to the version; None where the caller named the number itself."""
    prompt_warnings: tuple[str, ...] = ()
    """What the prompt's policy let pass: `over_budget`, `whitespace`."""
    estimate: Estimate | None = None
    """Of the prompt as it is sent on: trimmed, shortened, counted for the decided target."""
    is_unusually_long: bool = False
    """The prompt, as the client sent it, beside those that its route usually has."""
    context: int | None = None
    """Tokens that the decided target takes, prompt and completion together; None where nobody says."""
    dropped_messages: int = 0
    """Left out by the route's `over_prompt: drop_oldest`."""
    dropped_tokens: int = 0
    trimmed_tokens: int = 0
    """Saved by the route's `trim`."""
    step: str = "normal"
    """How far the cost breaker, or a soft budget, had stepped it down."""
    probes: tuple[str, ...] = ()
    """Scopes of the cost breaker for which it tries the way back."""
    decision: Decision | None = None
    target: Target | None = None
    """The one that answered, now or when the cache entry was made."""
    cache: CacheOutcome | None = None
    cache_key: str | None = None
    """Hash of the request and its sharing scope: equal for requests that one stored answer would serve."""
    cache_detail: str | None = None
    """Why the cache was bypassed; a fixed few words."""
    standing: dict[str, Standing] = field(default_factory=dict)
    """`requests` and `tokens`, where a rate limit of ours applies."""
    attempts: list[Attempt] = field(default_factory=list)
    answer: bytes | None = None
    """The whole answer, where it is to be compared with the other tier's."""
    status: int = 0
    """What the client was sent; 499 when it left first."""
    error: str | None = None
    """Class name of the error that ended it, for the log."""
    rejected: str | None = None
    """Why the gateway itself refused; a metric label."""
    is_cut: bool = False
    """Its stream was ended at what had been reserved for it: the upstream went past the completion limit."""
    resumed: Literal["continued", "restarted", "failed"] | None = None
    """What came of taking up its stream where it was cut, if the route wants that."""
    is_success: bool = False
    """A complete answer reached the client."""
    finish_reason: str | None = None
    """In the upstream's words; None for hits, and where an answer broke off."""
    usage: Usage | None = None
    is_usage_reported: bool = False
    """`usage` is what the upstream said, not what we counted."""
    cost: Cost | None = None
    """None when nothing was spent: hits and refusals. A call without a known price has `price_unknown`."""
    price_unknown: bool = False
    saved_nanousd: dict[str, int] = field(default_factory=dict)
    """Reason (`cache`, `coalesced`, `tier`, `trim`) → nano-dollars not spent."""
    first_byte_s: float | None = None
    """From the start to the first byte of the answer leaving for the client."""
    upstream_s: float = 0.0
    """Spent waiting for upstreams until the answer, or the first event of a stream, was there."""
    duration_s: float = 0.0
