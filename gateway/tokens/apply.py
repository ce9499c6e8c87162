"""What a route's `tokens:` section makes of a request: trimmed, counted, shortened, its completion capped."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from gateway.config.model import Tokens
from gateway.tokens.count import SMALL_BODY_BYTES, CountedPart, TokenCounter, estimate_of, tokens_of
from gateway.tokens.policy import cap_completion, too_long
from gateway.tokens.rewrite import LISTS, messages_of, rewritten
from gateway.tokens.turns import oldest
from gateway.tokens.whitespace import trimmed
from gateway.value import value
from gateway.values import Estimate, Request


@value
class Applied:
    """A request within its route's policy."""

    request: Request
    estimate: Estimate
    dropped_messages: int = 0
    """Left out by `over_prompt: drop_oldest`."""
    dropped_tokens: int = 0
    trimmed_tokens: int = 0
    """Saved by `trim`."""


async def apply(request: Request, policy: Tokens, counter: TokenCounter, *, model: str) -> Applied:
    """`request` brought as near to `policy` as can be, counted for `model`; `enforce_prompt` says whether it fits."""
    known: tuple[Tokens, Applied] | None = request.derived.get((apply, model))
    if known is not None and known[0] is policy:
        return known[1]
    applied = await _applied(request, policy, counter, model)
    request.derived[apply, model] = (policy, applied)
    return applied


async def _applied(request: Request, policy: Tokens, counter: TokenCounter, model: str) -> Applied:
    request = cap_completion(request, policy)
    counted = await counter.count(request, model)
    trimmed_tokens = 0
    if policy.trim != "none":
        shorter = await _off_loop(counter, request, _without_whitespace, policy.trim)
        if shorter is not request:
            before, request = counted, shorter
            counted = await counter.count(request, model)
            trimmed_tokens = max(0, tokens_of(before) - tokens_of(counted))
    applied = Applied(request, estimate_of(counted, request), trimmed_tokens=trimmed_tokens)
    if policy.over_prompt == "drop_oldest" and policy.max_prompt is not None:
        applied = await _within(applied, counted, policy.max_prompt, counter, model)
    return applied


async def enforce_prompt(applied: Applied, policy: Tokens, counter: TokenCounter, *, model: str, route: str) -> None:
    """Raise PromptTooLong where the prompt, counted for `model`, has more tokens than `route` allows."""
    if policy.max_prompt is None or applied.estimate.prompt_tokens <= policy.max_prompt:
        return
    counted = await counter.count(applied.request, model)  # once more, for its parts: the texts are remembered
    raise too_long(applied.request, counted, policy.max_prompt, route=route)


async def _within(
    applied: Applied, counted: list[CountedPart], most: int, counter: TokenCounter, model: str
) -> Applied:
    """`applied` with as many of its oldest turns dropped as it takes; unchanged where that is no way out."""
    request, excess = applied.request, applied.estimate.prompt_tokens - most
    messages = messages_of(request) if excess > 0 else []
    dropped = oldest(messages, _by_message(request, counted), excess) if messages else None
    if not dropped:
        return applied
    shorter = await _off_loop(counter, request, _without, dropped)
    estimate = await counter.estimate(shorter, model)
    saved = applied.estimate.prompt_tokens - estimate.prompt_tokens
    return replace(applied, request=shorter, estimate=estimate, dropped_messages=len(dropped), dropped_tokens=saved)


async def _off_loop(
    counter: TokenCounter, request: Request, function: Callable[[Request, Any], Request], argument: Any
) -> Request:
    """Looking through a body and rewriting it takes time by the byte."""
    if len(request.body) <= SMALL_BODY_BYTES:
        return function(request, argument)
    return await counter.in_thread(function, request, argument)


def _without(request: Request, dropped: list[int]) -> Request:
    return rewritten(request, dropped=dropped)


def _without_whitespace(request: Request, how: Literal["trailing", "all"]) -> Request:
    changed: dict[int, Mapping[str, Any]] = {}
    for index, message in enumerate(messages_of(request)):
        content = message.get("content")
        shorter = trimmed(content, how) if isinstance(content, str) and _is_writable(content) else content
        if shorter != content:
            changed[index] = {"content": shorter}
    return rewritten(request, changed=changed) if changed else request


def _is_writable(text: str) -> bool:
    """Whether it can be written as UTF-8: not with half a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _by_message(request: Request, counted: list[CountedPart]) -> dict[int, int]:
    """Tokens of each message: parts are labelled `messages[3]` or `input[3]`."""
    prefix = f"{LISTS[request.endpoint]}["
    tokens: dict[int, int] = {}
    for part in counted:
        if part.label.startswith(prefix):
            index = int(part.label[len(prefix) : -1])
            tokens[index] = tokens.get(index, 0) + part.tokens
    return tokens
