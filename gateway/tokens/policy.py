"""What a route allows: the longest prompt, the longest completion. Pure; counting is `count.py`."""

import sys
from dataclasses import replace

from gateway.config.model import Tokens
from gateway.errors import PromptTooLong
from gateway.values import Estimate, Request

_PROMPT_FIELDS = {"chat": "messages", "completions": "prompt"}


def enforce_prompt(request: Request, estimate: Estimate, policy: Tokens, *, route: str) -> None:
    """Raise PromptTooLong where the prompt has more tokens than `route` allows."""
    if policy.max_prompt is not None and estimate.prompt_tokens > policy.max_prompt:
        field = _PROMPT_FIELDS.get(request.endpoint, "input")
        raise PromptTooLong(estimate.prompt_tokens, policy.max_prompt, route=route, param=field)


def cap_completion(request: Request, policy: Tokens) -> Request:
    """`request` with its completion limit within `policy`.

    Every limit the client named is cut to `max_completion` where it is higher; of two spellings the
    higher one is taken to hold. Where it named none, `completion_cap` is the policy's, and no edit is
    made yet: only the sender knows how its upstream spells the field.
    """
    if request.endpoint == "embeddings":
        return request
    if not request.completion_caps:
        return replace(request, completion_cap=_default_cap(policy))
    highest = policy.max_completion if policy.max_completion is not None else sys.maxsize
    edits = {name: highest for name, cap in request.completion_caps.items() if cap > highest}
    cap = min(highest, max(request.completion_caps.values()))
    return replace(request, completion_cap=cap, edits={**request.edits, **edits})


def _default_cap(policy: Tokens) -> int | None:
    caps = [cap for cap in (policy.default_completion, policy.max_completion) if cap is not None]
    return min(caps, default=None)
