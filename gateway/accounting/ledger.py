"""The ledger's writer: what every request cost, into SQL, and no request waits for it.

    observe ─► rows ─► bounded queue ─► batches, twice a second ─► Database
                          └ full: dropped and counted

A database that is away, slow or full is tried again until it is back; meanwhile the queue fills. What is written
twice stands once, so that a batch whose fate is unknown is simply written again. A process that is killed loses what it
took in since its last batch; `ledger_writers` says when that was, and how many requests it had been told of.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Self

from gateway import __version__
from gateway.accounting.entry import ATTEMPT_COLUMNS, COLUMNS, Row, attempts_of, lost_row, row_of
from gateway.accounting.upkeep import keep_up
from gateway.clock import Clock
from gateway.errors import DatabaseError, DatabaseRefused
from gateway.record import Record
from gateway.sql import Batch, Database

log = logging.getLogger(__name__)

QUEUE_ROWS = 50_000
"""Requests kept for a database that is away: some 45 MB, a minute of a busy worker."""
BATCH_S = 0.5
"""How long rows gather: what a process that is killed may lose."""
BATCH_ROWS = 500
"""Requests in one transaction: some 5 ms of SQLite's thread."""
BEAT_S = 10.0
"""How often a writer without requests says that it is there."""
UPKEEP_S, UPKEEP_AGAIN_S = 3600.0, 300.0
"""Between two looks at partitions and old rows; the second after one that failed."""
CLOSE_S = 5.0
"""How long a stopping process goes on trying to write."""
WRITE_TIMEOUT_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0


STATEMENT_ROWS = 32
"""Rows of one statement. SQLite's driver gives the interpreter back and forth for each: one by one, rows cost the event
loop's thread more than their making."""


class Insert:
    """Rows of one table as statements of many rows, and of one for the rest."""

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        self._one = _insert(table, columns, 1)
        self._many = _insert(table, columns, STATEMENT_ROWS)

    def batches(self, rows: Sequence[Row]) -> list[Batch]:
        whole = len(rows) - len(rows) % STATEMENT_ROWS
        many = [tuple(chain.from_iterable(rows[at : at + STATEMENT_ROWS])) for at in range(0, whole, STATEMENT_ROWS)]
        return [batch for batch in ((self._many, many), (self._one, rows[whole:])) if batch[1]]


def _insert(table: str, columns: tuple[str, ...], rows: int) -> str:
    width = len(columns)
    values = [", ".join(f"${row * width + n}" for n in range(1, width + 1)) for row in range(rows)]
    # Names of ours alone.
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({'), ('.join(values)}) ON CONFLICT DO NOTHING"  # noqa: S608


INSERT = Insert("ledger", COLUMNS)
INSERT_ATTEMPT = Insert("ledger_attempts", ATTEMPT_COLUMNS)
SIGN_IN = (
    "INSERT INTO ledger_writers (id, host, pid, version, started_ms, seen_ms, closed_ms, taken, dropped)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    " ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms, closed_ms = excluded.closed_ms,"
    " taken = excluded.taken, dropped = excluded.dropped"
)

Lost = Callable[[], tuple[int, int]]
"""Requests lost with their processes as far as this one found them, and the nano-dollars they were charged, so far."""


class Ledger:
    """An async context manager. `retention_days`: rows older than this are deleted."""

    def __init__(self, database: Database, clock: Clock, *, retention_days: int, queue_rows: int = QUEUE_ROWS) -> None:
        self._database = database
        self._clock = clock
        self._retention_days = retention_days
        self._queue_rows = queue_rows
        self._queue: deque[tuple[Row, list[Row]]] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.writer = secrets.randbits(63)
        self._started_ms = self._now_ms()
        self._seen_lost = (0, 0)
        self.lost: Lost = lambda: (0, 0)
        self.taken = 0
        self.dropped = 0
        """Requests without a row: the queue was full, the database refused them, or the process stopped before."""
        self.is_up = True
        self._pause_s = _FIRST_PAUSE_S

    @property
    def queued(self) -> int:
        return len(self._queue)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="ledger")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._closing.set()
        self._wake.set()
        await asyncio.wait([self._task], timeout=CLOSE_S)
        if not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._queue:
            self.dropped += len(self._queue)
            log.warning("ledger: stopped with %d requests unwritten; %s", len(self._queue), self._database.name)
            self._queue.clear()

    def observe(self, record: Record) -> None:
        """Queue the rows of a finished request; never waits, never raises."""
        self.taken += 1
        if len(self._queue) >= self._queue_rows or (self._closing.is_set() and self._task and self._task.done()):
            self.dropped += 1
            return
        attempts = attempts_of(record, self.writer, self.taken) if record.attempts else []
        self._queue.append((row_of(record, self.writer, self.taken), attempts))
        if not self._wake.is_set():
            self._wake.set()

    # ------------------------------------------------------------------ writing

    async def _run(self) -> None:
        keep_up_at: float | None = None
        while True:
            try:
                if keep_up_at is None:
                    await self._sign_in()
                if keep_up_at is None or self._clock.monotonic() >= keep_up_at:
                    keep_up_at = self._clock.monotonic() + await self._keep_up()
                await self._write_queue()
                self._say_up()
            except DatabaseError as error:
                await self._wait_for_database(error)
                continue
            except Exception:  # this task must go on
                log.exception("ledger: a batch was not written")
                await self._sleep(_LONGEST_PAUSE_S)
                continue
            if self._closing.is_set():
                await self._sign_out()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()
            await self._sleep(BATCH_S)
            self._wake.clear()

    async def _keep_up(self) -> float:
        """Seconds until the next time. What fails here (a user who may not make tables) keeps no rows out."""
        try:
            await keep_up(self._database, self._now_ms(), self._retention_days)
        except DatabaseError as error:
            log.warning("ledger: its partitions and its oldest rows stay as they are for now: %s", error)
            return UPKEEP_AGAIN_S
        return UPKEEP_S

    async def _write_queue(self) -> None:
        """Everything that is queued, and that this writer is there."""
        self._note_lost()
        while True:
            batch = list(islice(self._queue, BATCH_ROWS))
            try:
                await self._write(batch)
            except DatabaseRefused:
                await self._write_one_by_one(batch)
            for _ in batch:
                self._queue.popleft()
            if not self._queue:
                return

    async def _write(self, rows: list[tuple[Row, list[Row]]], *, closed_ms: int | None = None) -> None:
        attempts = [attempt for _, tries in rows for attempt in tries]
        batches = [*INSERT.batches([row for row, _ in rows]), *INSERT_ATTEMPT.batches(attempts)]
        await self._database.write(*batches, (SIGN_IN, [self._signature(closed_ms)]), timeout_s=WRITE_TIMEOUT_S)

    async def _write_one_by_one(self, rows: list[tuple[Row, list[Row]]]) -> None:
        """One row that no database takes must not keep the others out."""
        for row in rows:
            try:
                await self._write([row])
            except DatabaseRefused as error:
                self.dropped += 1
                log.warning("ledger: the row of request %s was refused: %s", row[0][3], error)

    async def _sign_in(self) -> None:
        await self._write([])

    async def _sign_out(self) -> None:
        with suppress(DatabaseError):
            await self._write([], closed_ms=self._now_ms())

    def _signature(self, closed_ms: int | None) -> Row:
        now_ms = self._now_ms()
        who = (self.writer, socket.gethostname(), os.getpid(), __version__)
        return (*who, self._started_ms, now_ms, closed_ms, self.taken, self.dropped)

    def _note_lost(self) -> None:
        """A row for what was found since: the process whose requests these were has written none."""
        found, seen = self.lost(), self._seen_lost
        if found[0] < seen[0]:  # after a reload somebody else counts, from nothing
            seen = (0, 0)
        self._seen_lost = found
        if found[0] > seen[0]:
            self.taken += 1
            at = {"at_ms": self._now_ms(), "writer": self.writer, "seq": self.taken}
            self._queue.append((lost_row(found[0] - seen[0], found[1] - seen[1], **at), []))

    # ------------------------------------------------------------------ a database that is away

    async def _wait_for_database(self, error: DatabaseError) -> None:
        if self.is_up:
            log.warning("ledger: not written for now, requests go on without it: %s", error)
            self.is_up = False
            self._pause_s = _FIRST_PAUSE_S
        await self._sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _say_up(self) -> None:
        if not self.is_up:
            log.info("ledger: written again; %d requests were dropped so far", self.dropped)
            self.is_up = True

    async def _sleep(self, seconds: float) -> None:
        """Less where the process stops: the last batch is written at once."""
        if self._closing.is_set():
            await asyncio.sleep(min(seconds, _FIRST_PAUSE_S) if not self.is_up else 0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)
