"""What a route allows: the longest prompt, the longest completion. Pure; counting is `count.py`."""

import heapq
from collections.abc import Sequence
from operator import itemgetter

from gateway.config.model import Tokens
from gateway.errors import PromptTooLong
from gateway.tokens.count import CountedPart, tokens_of
from gateway.values import Request

_PROMPT_FIELDS = {"chat": "messages", "completions": "prompt"}

NAMED_PARTS = 5
"""Of a prompt that is too long, as many of its largest parts are named; a few usually make up most of it."""

_LABEL_CHARS = 60
"""A label may hold a word of the client's, such as the type of a tool."""


def too_long(request: Request, counted: Sequence[CountedPart], most: int, *, route: str) -> PromptTooLong:
    """The refusal of a prompt with these parts where `route` allows `most` tokens."""
    field = _PROMPT_FIELDS.get(request.endpoint, "input")
    return PromptTooLong(tokens_of(counted), most, route=route, param=field, largest=largest(counted))


def largest(counted: Sequence[CountedPart]) -> list[tuple[str, int]]:
    """Labels and tokens of the largest parts, the largest first; parts of one label are one."""
    tokens: dict[str, int] = {}
    for part in counted:
        label = part.label[:_LABEL_CHARS]
        tokens[label] = tokens.get(label, 0) + part.tokens
    return heapq.nlargest(NAMED_PARTS, tokens.items(), key=itemgetter(1))


def cap_completion(request: Request, policy: Tokens) -> Request:
    """`request` with its completion limit within `policy`.

    Every limit the client named is cut to `max_completion` where it is higher; of two spellings the
    higher one is taken to hold. Where it named none, `completion_cap` is the policy's, and no edit is
    made yet: only the sender knows how its upstream spells the field.
    """
    if request.endpoint == "embeddings":
        return request
    if not request.completion_caps:
        cap = _default_cap(policy)
        return request if cap == request.completion_cap else request.capped(cap, request.edits)
    highest = policy.max_completion
    if highest is None or max(request.completion_caps.values()) <= highest:
        return request
    edits = {name: highest for name, cap in request.completion_caps.items() if cap > highest}
    return request.capped(highest, {**request.edits, **edits})


def _default_cap(policy: Tokens) -> int | None:
    if policy.default_completion is None or policy.max_completion is None:
        return policy.max_completion if policy.default_completion is None else policy.default_completion
    return min(policy.default_completion, policy.max_completion)
