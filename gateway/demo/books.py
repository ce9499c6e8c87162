"""Headers, metrics and ledger say what was spent, each for itself; do they say the same?"""

import asyncio
from dataclasses import dataclass

from sqlalchemy import func, select

from gateway.accounting.books import opened
from gateway.accounting.report import Figures, report
from gateway.errors import DatabaseUnavailable
from gateway.tables import ledger
from gateway.values import NANO
from gateway.wire.headers import usd

WRITTEN_WITHIN_S = 15
"""The ledger's tables are made while the first requests are served."""


@dataclass(frozen=True, slots=True)
class Books:
    """Nano-dollars, as three places have them."""

    ledger: Figures
    ledger_of_whole_answers: int
    """Of answers that were not streamed: only these say in a header what they cost."""
    headers: int
    metrics_spent: int
    metrics_saved: int

    @property
    def agree(self) -> bool:
        return (self.ledger.cost_nanousd, self.ledger.saved_nanousd, self.ledger_of_whole_answers) == (
            self.metrics_spent,
            self.metrics_saved,
            self.headers,
        )

    def told(self) -> str:
        if self.agree:
            return (
                f"Ledger and metrics agree to the nano-dollar: {usd(self.metrics_spent)} spent,"
                f" {usd(self.metrics_saved)} saved; so do the headers of the answers that were not streamed"
                f" ({usd(self.headers)})."
            )
        return (
            f"THE BOOKS DISAGREE: ledger {usd(self.ledger.cost_nanousd)} spent, {usd(self.ledger.saved_nanousd)} saved;"
            f" metrics {usd(self.metrics_spent)} and {usd(self.metrics_saved)};"
            f" headers {usd(self.headers)}, ledger of the same answers {usd(self.ledger_of_whole_answers)}."
        )


async def read(url: str, *, requests: int, headers: int, spent_usd: float, saved_usd: float) -> Books:
    """Once all `requests` are in the ledger at `url`; TimeoutError where they never are."""
    async with asyncio.timeout(WRITTEN_WITHIN_S):
        while (found := await _total(url)).requests < requests:  # noqa: ASYNC110  (it is written by a task of its own)
            await asyncio.sleep(0.1)
    async with opened(url) as connection:
        query = select(func.sum(ledger.c.cost_nanousd)).where(~ledger.c.is_stream)
        whole = int((await connection.execute(query)).scalar() or 0)
    return Books(found, whole, headers, round(spent_usd * NANO), round(saved_usd * NANO))


async def _total(url: str) -> Figures:
    """Nothing as long as there are no tables."""
    try:
        return (await report(url, (), since_ms=0, until_ms=1 << 62)).total
    except DatabaseUnavailable:
        return Figures()
