"""Everything that may go wrong with a request: one hierarchy, facts only.

What a client sees of each (status, type, code) is decided in one place, `wire/errors.py`. Messages
are written for the person who made the request: what was wrong, what was expected, what to do.

    GatewayError
    ├── BadRequest                 the request itself cannot be served as it stands
    │   ├── PromptTooLong          over the route's prompt cap
    │   └── PriceUnknown           a price is demanded and none is known
    ├── InvalidKey                 no key, a wrong key
    ├── NotAllowed                 a known caller asks for what it may not have
    ├── NotFound                   an unknown path, or an id nobody knows
    ├── ModelNotFound              no route serves this model for this caller
    ├── BodyTooLarge
    ├── BodyTimeout                the client did not finish sending
    ├── CacheMissRequired          the client wanted a cached answer or none
    ├── Overloaded                 too much in flight in this process
    ├── UpstreamError
    │   ├── UpstreamUnavailable    could not be reached, or answered with nothing usable
    │   ├── UpstreamTimeout
    │   └── UpstreamCut            an answer that broke off after it had begun
    └── StoreUnavailable           Redis away or slow; each capability says whether it fails open

`ConfigError` stands apart: it is raised before there are requests.
"""


class GatewayError(Exception):
    """A request that could not be served; `message` is for the client, so it carries no secrets."""

    retry_after_s: float | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class BadRequest(GatewayError):
    """The request is malformed or asks for something impossible; `param` names the field."""


class PromptTooLong(BadRequest):
    """`prompt_tokens` were counted where the route allows `max_prompt`.

    Client libraries know a prompt that is too long by OpenAI's words for it (LiteLLM and LangChain, of the
    Responses API: "Input tokens exceed the configured limit of …"), so the message begins with these.
    """

    def __init__(self, prompt_tokens: int, max_prompt: int, *, route: str, param: str) -> None:
        super().__init__(
            f"Input tokens exceed the configured limit of {max_prompt} tokens of route '{route}'. "
            f"Your messages resulted in {prompt_tokens} tokens: shorten them by at least "
            f"{prompt_tokens - max_prompt}.",
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


class InvalidKey(GatewayError):
    """No key or one we do not know. One message for all causes: it must not help a guesser.

    LiteLLM knows a wrong key by OpenAI's words "Incorrect API key provided" alone.
    """

    def __init__(self) -> None:
        super().__init__(
            "Incorrect API key provided, or none. Send the key that your gateway's operator gave you as "
            "'Authorization: Bearer KEY'."
        )


class NotAllowed(GatewayError):
    """The caller is known but may not use what it named (a route, a tier, a pass-through path)."""


class NotFound(GatewayError):
    """Nothing lives under this path or id."""


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


class Overloaded(GatewayError):
    """This process holds as many requests as `server.max_in_flight` allows."""

    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__("The gateway is at capacity; retry after a second.")


class UpstreamError(GatewayError):
    """The model API failed us. The message never carries its URL or key."""


class UpstreamUnavailable(UpstreamError):
    """It could not be reached, or broke off before anything had been relayed."""


class UpstreamTimeout(UpstreamError):
    """It did not connect, answer or finish in time; `was_sent`: it may be working on the request, and bill it."""

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class UpstreamCut(UpstreamError):
    """A stream broke off, stalled or reported an error after it had begun."""


class StoreUnavailable(GatewayError):
    """The shared store did not answer in time, or not at all."""

    def __init__(self, op: str) -> None:
        super().__init__(f"The gateway's store did not answer ({op}).")
        self.op = op


class ConfigError(Exception):
    """The configuration cannot be used; `problems` are complete lines, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
