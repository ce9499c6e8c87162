"""Why a request was refused, in words that help the one who made it.

Pure: the store has decided, and its answer says how full each limit is. What passes by waiting is
said before what does not, since the rest can be said when the waiting is over.
"""

from collections.abc import Iterator
from operator import itemgetter

from gateway.admission.limits import has_room, resets_at, wait_s
from gateway.admission.stores import Answer, Ask
from gateway.errors import BudgetExceeded, BudgetUnavailable, DemandTooLarge, GatewayError, RateLimited
from gateway.values import NANO

_SLOT_RETRY_S = 1.0
"""When to ask again for one of the slots: nobody knows when a request under way will end."""


def refusal(ask: Ask, answer: Answer) -> GatewayError:
    """The error for an `answer` that is neither ADMITTED nor CHEAP."""
    if not answer.levels:  # the store knows the id already, or was emptied twice in a row
        return BudgetUnavailable()
    levels = iter(answer.levels)
    return _rate_refusal(ask, levels) or _budget_refusal(ask, levels, answer.now_ms)


def _rate_refusal(ask: Ask, levels: Iterator[int]) -> RateLimited | None:
    refusals: list[tuple[float, RateLimited]] = []
    for rate in ask.plan.rates:
        level, amount = next(levels), 1 if rate.kind == "requests" else ask.tokens
        if has_room(level, amount, per_minute=rate.per_minute):
            continue
        wait = wait_s(level, amount, per_minute=rate.per_minute)
        if wait is None:
            return DemandTooLarge(_in_words(rate.scope), amount, rate.per_minute)
        limit = f"{rate.per_minute} {rate.kind} per minute"
        refusals.append((wait, RateLimited(_in_words(rate.scope), limit, retry_after_s=wait)))
    for slots in ask.plan.slots:
        if next(levels) >= slots.limit and ask.id:
            refused = RateLimited(
                _in_words(slots.scope), f"{slots.limit} requests at a time", retry_after_s=_SLOT_RETRY_S
            )
            refusals.append((_SLOT_RETRY_S, refused))
    return max(refusals, key=itemgetter(0))[1] if refusals else None


def _budget_refusal(ask: Ask, levels: Iterator[int], now_ms: int) -> BudgetExceeded:
    for ceiling, level in zip(ask.plan.ceilings, levels, strict=True):
        account = ceiling.account
        is_usd = account.unit == "usd"
        wanted = ask.nanousd if is_usd else ask.tokens
        if wanted and ceiling.hard is not None and level + wanted > ceiling.hard:
            write = _dollars if is_usd else "{} tokens".format
            resets = resets_at(account.per, now_ms)
            return BudgetExceeded(
                _in_words(account.scope),
                account.per,
                wanted=write(wanted),
                left=write(max(0, ceiling.hard - level)),
                resets=None if resets is None else f"{resets:%Y-%m-%d %H:%M} UTC",
            )
    raise AssertionError("the store refused what all limits and budgets allow")


def _in_words(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return f"{kind} '{name}'" if name else f"this {kind}"


def _dollars(nanousd: int) -> str:
    """To the nano-dollar, so that what is wanted never looks the same as what is left."""
    dollars, rest = divmod(nanousd, NANO)
    fraction = f"{rest:09d}".rstrip("0")
    return f"${dollars}.{fraction:0<2}"
