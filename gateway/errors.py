"""Everything that may go wrong with a request: one hierarchy, facts only.

What a client sees of each (status, type, code) is decided in one place, `wire/errors.py`. Messages
are written for the person who made the request: what was wrong, what was expected, what to do.

    GatewayError
    ├── BadRequest                 the request itself cannot be served as it stands
    │   ├── PromptTooLong          over the route's prompt cap
    │   ├── PriceUnknown           a price is demanded and none is known
    │   ├── CompletionUnbounded    a budget applies, and nothing bounds what the request may use
    │   └── BackgroundUnmetered    a budget applies, and what it uses could not be charged
    ├── InvalidKey                 no key, a wrong key
    ├── KeysUnavailable            the keys that were issued could not be read yet
    ├── PromptsUnavailable         the prompts that were pushed could not be read yet
    ├── AdminKeyInvalid            the admin port wants another
    ├── NotAllowed                 a known caller asks for what it may not have
    ├── NotFound                   an unknown path, or an id nobody knows
    │   └── PromptNotFound         the registry has no such prompt, version or label
    ├── Conflict                   what is there already forbids it
    ├── ModelNotFound              no route serves this model for this caller
    ├── BodyTooLarge
    ├── BodyTimeout                the client did not finish sending
    ├── CacheMissRequired          the client wanted a cached answer or none
    ├── RateLimited                too many requests or tokens a minute, or too many requests at once
    │   └── DemandTooLarge         more tokens than the limit ever allows
    ├── BudgetExceeded             what is left of a budget does not cover the request
    ├── SpendingTooFast            far more was spent of late than is usual, and the cost breaker holds it
    ├── BudgetUnavailable          a budget cannot be checked, since the store is away
    ├── Overloaded                 too much in flight in this process
    ├── UpstreamError
    │   ├── UpstreamUnavailable    could not be reached, or gave no answer
    │   │   ├── UpstreamBusy       as many calls wait for a connection to it as may
    │   │   └── UpstreamInvalid    answered with nothing usable
    │   ├── UpstreamTimeout
    │   └── UpstreamCut            an answer that broke off after it had begun
    ├── DatabaseSilent             an operator asks what only the database knows, and it is away
    ├── ProcessSilent              one of several processes does not say what an operator asked
    └── StoreUnavailable           Redis away or slow; each capability says whether it fails open

`ConfigError` stands apart: it is raised before there are requests. So do `DatabaseUnavailable` and `DatabaseRefused`:
no request waits for the database.
"""

from collections.abc import Sequence

_SHOWN = 128
"""Characters of what a client wrote that an answer repeats."""


class GatewayError(Exception):
    """A request that could not be served; `message` is for the client, so it carries no secrets."""

    retry_after_s: float | None = None
    code: str | None = None
    """More exact than that of its class, where there is one."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class BadRequest(GatewayError):
    """The request is malformed or asks for something impossible; `param` names the field.

    `code` is OpenAI's word for what is wrong with it (`invalid_type`, `empty_array`, …), by which programs tell
    mistakes apart; None where OpenAI has none.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class PromptTooLong(BadRequest):
    """`prompt_tokens` were counted where the route allows `max_prompt`; `largest` are parts of it with their tokens.

    Client libraries know a prompt that is too long by OpenAI's words for it (LiteLLM and LangChain, of the
    Responses API: "Input tokens exceed the configured limit of …"), so the message begins with these.
    """

    def __init__(
        self, prompt_tokens: int, max_prompt: int, *, route: str, param: str, largest: Sequence[tuple[str, int]] = ()
    ) -> None:
        parts = ", ".join(f"{label} {tokens:,}" for label, tokens in largest)
        super().__init__(
            f"Input tokens exceed the configured limit of {max_prompt} tokens of route '{route}'. "
            f"Your messages resulted in {prompt_tokens} tokens: shorten them by at least "
            f"{prompt_tokens - max_prompt}." + (f" The largest parts: {parts}." if parts else ""),
            param=param,
        )
        self.prompt_tokens = prompt_tokens
        self.max_prompt = max_prompt


class PriceUnknown(BadRequest):
    """No price is known for `model`, and the configuration refuses to run unpriced calls."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"No price is known for model '{model}', and this gateway refuses calls it cannot price. "
            f"Ask the operator to add '{model}' under `prices:`.",
            param="model",
        )
        self.model = model


class CompletionUnbounded(BadRequest):
    """Under a budget the worst case must be known, and neither the client nor the route bounds the completion."""

    def __init__(self) -> None:
        super().__init__(
            "A budget applies to this request, and nothing bounds its completion. Set 'max_completion_tokens' "
            "(chat), 'max_tokens' (completions) or 'max_output_tokens' (responses); or ask the operator to set "
            "`tokens.default_completion` for the route.",
            param="max_completion_tokens",
        )


class BackgroundUnmetered(BadRequest):
    """A background response is answered before it is made, so that a budget would never hear what it used."""

    def __init__(self) -> None:
        super().__init__(
            "A budget applies to this request, and what a background response uses could not be charged to it. Leave "
            "out 'background', and set 'stream' to true if the answer takes long.",
            param="background",
        )


class InvalidKey(GatewayError):
    """No key or one we do not know. One message for all causes: it must not help a guesser.

    LiteLLM knows a wrong key by OpenAI's words "Incorrect API key provided" alone.
    """

    def __init__(self) -> None:
        super().__init__(
            "Incorrect API key provided, or none. Send the key that your gateway's operator gave you as "
            "'Authorization: Bearer KEY'."
        )


class KeysUnavailable(GatewayError):
    """This process has just started and could not read yet which keys were issued."""

    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__("The gateway cannot check this key at the moment; retry after a second.")


class PromptsUnavailable(GatewayError):
    """This process has just started and could not read yet which prompts there are."""

    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__("The gateway cannot look up prompts at the moment; retry after a second.", param="prompt")


class DatabaseSilent(GatewayError):
    """An operator's request needs the database, and that is away."""

    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__(
            "The gateway's database (ledger) does not answer; its log says why. What was to be changed may or may not "
            "have been: look before you repeat it."
        )


class AdminKeyInvalid(GatewayError):
    def __init__(self) -> None:
        super().__init__("Send the key that server.admin.key holds as 'Authorization: Bearer KEY'.")


class NotAllowed(GatewayError):
    """The caller is known but may not use what it named (a route, a tier, a pass-through path)."""


class Conflict(GatewayError):
    """What was asked cannot be done to what is there."""


class NotFound(GatewayError):
    """Nothing lives under this path or id."""


class PromptNotFound(NotFound):
    """Nobody pushed a prompt with this id or name, or it has no such version or label."""

    code = "prompt_not_found"

    def __init__(self, id_or_name: str, version: str | None = None) -> None:
        with_version = "" if version is None else f" and version '{version[:_SHOWN]}'"
        super().__init__(
            f"Prompt with id '{id_or_name[:_SHOWN]}'{with_version} not found. This gateway has prompts of its own: "
            "`gateway prompts list` shows them, `gateway prompts import` takes others over.",
            param="prompt",
        )


class ModelNotFound(GatewayError):
    """No route that this caller may use serves `model`."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model '{model}' does not exist or you do not have access to it. GET /v1/models lists yours.",
            param="model",
        )
        self.model = model


class BodyTooLarge(GatewayError):
    """The request body passes `server.max_body_mb`."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is larger than the {limit_bytes:,} bytes this gateway accepts.")
        self.limit_bytes = limit_bytes


class BodyTimeout(GatewayError):
    """The request body did not arrive within `server.body_timeout_s`."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The request body did not arrive within {timeout_s:g} s.")


class CacheMissRequired(GatewayError):
    """The client sent `Cache-Control: only-if-cached` and nothing fresh is stored (RFC 9111, 5.2.1.7)."""

    def __init__(self) -> None:
        super().__init__(
            "No stored answer matches this request, and 'Cache-Control: only-if-cached' forbids asking the model."
        )


class RateLimited(GatewayError):
    """A limit of `scope` is used up; the same request passes in `retry_after_s` if nobody else comes first."""

    def __init__(self, scope: str, limit: str, *, retry_after_s: float | None) -> None:
        """`scope` as in `key 'bot'`, `limit` as in `100 requests per minute`."""
        hint = f" Retry in {retry_after_s:.3g} s." if retry_after_s is not None else ""
        super().__init__(f"Rate limit reached: {scope} is allowed {limit}.{hint}")
        self.retry_after_s = retry_after_s


class DemandTooLarge(RateLimited):
    """The request may use more tokens than its limit allows in a whole minute: waiting does not help."""

    def __init__(self, scope: str, tokens: int, tokens_per_minute: int) -> None:
        GatewayError.__init__(
            self,
            f"This request may use {tokens} tokens, prompt and completion together, and {scope} is allowed "
            f"{tokens_per_minute} per minute. Shorten the prompt or ask for a shorter completion.",
        )


class BudgetExceeded(GatewayError):
    """The worst case of the request is more than is left of a budget of `scope`."""

    def __init__(self, scope: str, per: str, *, wanted: str, left: str, resets: str | None) -> None:
        """`scope` as in `key 'bot'`; `wanted` and `left` with their unit; `resets` is when the period ends, if ever."""
        period = "in all" if per == "total" else f"for this {per}"
        again = f" It resets at {resets}." if resets else ""
        super().__init__(
            f"This request may cost up to {wanted}, and the budget of {scope} {period} has {left} left.{again}"
        )
        self.scope = scope
        self.per = per


class SpendingTooFast(GatewayError):
    """The cost breaker answers from the cache alone, or not at all."""

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__(
            "Spending here is far above what is usual, and the gateway's cost breaker holds it back. Retry in "
            f"{retry_after_s:.0f} s; if this is meant to be, ask the operator."
        )
        self.retry_after_s = retry_after_s


class BudgetUnavailable(GatewayError):
    """A budget cannot be checked, and is configured to hold rather than to let pass."""

    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__("The gateway cannot check the budget of this request at the moment; retry after a second.")


class Overloaded(GatewayError):
    """This process holds as many requests as `server.max_in_flight` allows."""

    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__("The gateway is at capacity; retry after a second.")


class UpstreamError(GatewayError):
    """The model API failed us. The message never carries its URL or key."""


class UpstreamUnavailable(UpstreamError):
    """It could not be reached, or closed the connection without an answer."""


class UpstreamBusy(UpstreamUnavailable):
    """As many calls wait for a connection to it as may: a limit of ours, and no word about the upstream."""

    retry_after_s = 1.0


class UpstreamInvalid(UpstreamUnavailable):
    """It answered, but with what is no proper HTTP, is too large, or is an error that calls itself a success."""


class UpstreamTimeout(UpstreamError):
    """It did not connect, answer or finish in time; `was_sent`: it may be working on the request, and bill it."""

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class UpstreamCut(UpstreamError):
    """An answer broke off, or a stream reported an error, after it had begun."""


class ProcessSilent(GatewayError):
    retry_after_s = 1.0

    def __init__(self, process: str) -> None:
        super().__init__(f"{process} did not answer in time. Others may have done what was asked: ask again.")


class StoreUnavailable(GatewayError):
    """The shared store did not answer in time, or not at all; `may_have_run`: it may yet do, or have done, its work."""

    def __init__(self, op: str, *, may_have_run: bool = True) -> None:
        super().__init__(f"The gateway's store did not answer ({op}).")
        self.op = op
        self.may_have_run = may_have_run


class ConfigError(Exception):
    """The configuration cannot be used; `problems` are complete lines, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DatabaseError(Exception):
    """The SQL database did not do what it was asked. No message holds a password or a prompt."""


class DatabaseUnavailable(DatabaseError):
    """Away, slow, locked or full: worth trying again later."""


class DatabaseRefused(DatabaseError):
    """What was to be written cannot be: trying again does not help."""
