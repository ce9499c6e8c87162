"""Writing down what a call cost and what it saved: usage → the money fields of its `Record`."""

from typing import Literal

from gateway.accounting.cost import cost_nanousd, price_call
from gateway.accounting.prices import PriceTable
from gateway.record import Record
from gateway.values import Usage


def book(record: Record, usage: Usage, prices: PriceTable, *, source: Literal["computed", "estimated"]) -> None:
    """Fill in usage, cost and savings of a call that `record.target` answered; `source` says whose count it is.

    Without a price nothing is booked but `price_unknown`: never $0. Sending a request to the cheap
    tier saves what the expensive tier's first target would have cost for the same tokens; dropping and
    trimming, what the tokens left out would have cost as input of the target that answered.
    """
    record.usage, record.is_usage_reported = usage, source == "computed"
    if record.target is None:
        return
    rates = prices.rates(record.target)
    record.cost = price_call(usage, rates, source=source)
    if record.cost is None:
        record.price_unknown = True
        return
    left_out = record.dropped_tokens + record.trimmed_tokens
    if left_out and rates is not None:
        record.saved_nanousd["trim"] = cost_nanousd(Usage(left_out, 0), rates)
    decision = record.decision
    if decision is None or decision.tier != "cheap" or decision.compare_with is None:
        return
    dearer = prices.rates(decision.compare_with)
    if dearer is not None:
        record.saved_nanousd["tier"] = max(0, cost_nanousd(usage, dearer) - record.cost.nanousd)
