"""What a route allows: the longest prompt, the longest completion. Pure; counting is `count.py`."""

from dataclasses import replace
from typing import Any

from gateway.config.model import Tokens
from gateway.errors import PromptTooLong
from gateway.values import Estimate, Request


def enforce_prompt(request: Request, estimate: Estimate, policy: Tokens, *, route: str) -> None:
    """Raise PromptTooLong where the prompt has more tokens than `route` allows."""
    if policy.max_prompt is not None and estimate.prompt_tokens > policy.max_prompt:
        raise PromptTooLong(estimate.prompt_tokens, policy.max_prompt, route=route)


def cap_completion(request: Request, policy: Tokens) -> Request:
    """`request` with its completion limit within `policy`.

    Every limit the client named is cut to `max_completion` where it is higher; of several the highest
    is taken to hold. Where it named none, only `completion_cap` is set: the sender knows how its
    upstream spells the field.
    """
    named = request.completion_caps
    if not named:
        return replace(request, completion_cap=_default_cap(policy))
    most = policy.max_completion
    edits: dict[str, Any] = {name: most for name, value in named.items() if most is not None and value > most}
    return replace(request, completion_cap=max({**named, **edits}.values()), edits={**request.edits, **edits})


def _default_cap(policy: Tokens) -> int | None:
    caps = [cap for cap in (policy.default_completion, policy.max_completion) if cap is not None]
    return min(caps, default=None)
