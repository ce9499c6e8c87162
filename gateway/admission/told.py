"""A budget as operators are shown it."""

from typing import Any

from gateway.admission.limits import resets_at
from gateway.admission.plan import Ceiling
from gateway.admission.stores import Balance
from gateway.values import NANO


def told(ceiling: Ceiling, balance: Balance, now_ms: int) -> dict[str, Any]:
    """In dollars or tokens; `left` is below 0 where more was used than had been reserved."""
    account = ceiling.account
    parts = NANO if account.unit == "usd" else 1

    def shown(amount: int | None) -> float | None:
        return amount if amount is None or parts == 1 else amount / parts

    left = None if ceiling.hard is None else ceiling.hard - balance.settled - balance.reserved
    resets = resets_at(account.per, now_ms)
    return {
        "scope": account.scope,
        "unit": account.unit,
        "per": account.per,
        "limit": shown(ceiling.hard),
        "cheap_from": shown(ceiling.soft),
        "spent": shown(balance.settled),
        "reserved": shown(balance.reserved),
        "left": shown(left),
        "lost": shown(balance.lost),
        "lost_requests": balance.lost_grants,
        "resets_at": None if resets is None else resets.isoformat(timespec="seconds"),
    }
