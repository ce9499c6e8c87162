"""The store of what the classifier learns from, in the ledger's database; written aside, and no request waits for it.

Rows queue up to a bound and leave in batches. While the database is away they wait and then are dropped, the oldest
first, and counted: losing labels is no loss to any client.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Self

from gateway.clock import Clock
from gateway.errors import DatabaseError, DatabaseRefused
from gateway.routing.samples import Sample
from gateway.sql import Batch, Database, Row

log = logging.getLogger(__name__)

QUEUE_ROWS = 2_000
"""Some 10 MB where texts are kept."""
BATCH_ROWS = 200
"""Rows of one transaction: as many are written one by one where one of them is refused."""
FLUSH_S = 0.5
RETRY_S = 5.0
UPKEEP_S = 3600.0
CLOSE_S = 5.0
"""How long a stopping process goes on trying to write."""
DAY_MS = 86_400_000

_SAMPLE = (
    "INSERT INTO router_samples (request_id, at_ms, key_name, route, tier, probability, propensity, features, text)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"
)
_OUTCOME = (
    "INSERT INTO router_outcomes (request_id, at_ms, judge, weak, strong) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT DO NOTHING"
)
_FEEDBACK = (
    "INSERT INTO router_feedback (request_id, key_name, at_ms, score, comment)"
    " SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS DOUBLE PRECISION), CAST($5 AS TEXT)"
    " WHERE EXISTS (SELECT 1 FROM router_samples WHERE request_id = $1 AND key_name = $2)"
    " ON CONFLICT (request_id, key_name) DO UPDATE SET at_ms = excluded.at_ms, score = excluded.score,"
    " comment = excluded.comment"
)
_TABLES = ("router_samples", "router_outcomes", "router_feedback")
_SPENT = (  # those of prompts' versions have a budget of their own
    "SELECT COALESCE(SUM(cost_nanousd), 0) FROM ledger WHERE at_ms >= $1 AND route = $2 AND reason = 'shadow'"
    " AND prompt IS NULL"
)


class Labels:
    """An async context manager. `retention_days`: rows older than this are deleted."""

    def __init__(self, database: Database, clock: Clock, *, retention_days: int) -> None:
        self._database = database
        self._clock = clock
        self._retention_days = retention_days
        self._queue: deque[tuple[str, Row]] = deque(maxlen=QUEUE_ROWS)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="router labels")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._is_closing = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=CLOSE_S)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    @property
    def now_ms(self) -> int:
        return int(self._clock.wall() * 1000)

    def sample(self, sample: Sample) -> None:
        self._put(
            _SAMPLE,
            (
                *(sample.request_id, sample.at_ms, sample.key_name, sample.route, sample.tier),
                *(sample.probability, sample.propensity, sample.features, sample.text),
            ),
        )

    def outcome(self, request_id: str, judge: str, weak: float, strong: float) -> None:
        """How both tiers did on a request, 0 to 1 each."""
        self._put(_OUTCOME, (request_id, self.now_ms, judge, weak, strong))

    def feedback(self, request_id: str, key_name: str, score: float, comment: str | None) -> None:
        """What a client thought of an answer, -1 to 1; the last word counts. Kept only with a sample of that request
        from the same key, so that nobody judges another's answers or fills the table."""
        self._put(_FEEDBACK, (request_id, key_name, self.now_ms, score, comment))

    async def spent_today(self, route: str) -> int:
        """Nano-dollars that shadow calls of `route` have cost since midnight UTC, over all processes, as far as the
        ledger has them. Raises DatabaseError."""
        midnight = self.now_ms // DAY_MS * DAY_MS
        [(spent,)] = await self._database.fetch(_SPENT, midnight, route)
        return int(spent)

    def _put(self, statement: str, row: Row) -> None:
        self.dropped += len(self._queue) == QUEUE_ROWS
        self._queue.append((statement, row))
        self._wake.set()

    async def _run(self) -> None:
        kept_up_at: float | None = None
        while True:
            try:
                await self._wake.wait()
                await asyncio.sleep(0 if self._is_closing else FLUSH_S)
                self._wake.clear()
                await self._flush()
                if self._is_closing:
                    return
                if kept_up_at is None or self._clock.monotonic() - kept_up_at > UPKEEP_S:
                    await self._forget_old()
                    kept_up_at = self._clock.monotonic()
            except DatabaseError as error:
                log.warning("router labels: not written for now: %s", error)
                await asyncio.sleep(FLUSH_S if self._is_closing else RETRY_S)
                self._wake.set()
            except Exception:  # this task must go on
                log.exception("router labels: not written")
                await asyncio.sleep(RETRY_S)

    async def _flush(self) -> None:
        while self._queue:
            rows = list(islice(self._queue, BATCH_ROWS))
            statements = dict.fromkeys(statement for statement, _ in rows)
            batches: list[Batch] = [
                (each, [row for statement, row in rows if statement == each]) for each in statements
            ]
            try:
                await self._database.write(*batches)
            except DatabaseRefused:
                await self._write_one_by_one(rows)
            for _ in range(min(len(rows), len(self._queue))):
                self._queue.popleft()

    async def _write_one_by_one(self, rows: list[tuple[str, Row]]) -> None:
        """One row that no database takes must not keep the others out."""
        for statement, row in rows:
            try:
                await self._database.write((statement, [row]))
            except DatabaseRefused as error:
                self.dropped += 1
                log.warning("router labels: a row was refused: %s", error)

    async def _forget_old(self) -> None:
        oldest = self.now_ms - self._retention_days * DAY_MS
        await self._database.write(*[(f"DELETE FROM {table} WHERE at_ms < $1", [(oldest,)]) for table in _TABLES])  # noqa: S608
