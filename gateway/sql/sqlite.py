"""SQLite: one connection in one thread of its own, so that a slow disk stops no request."""

import asyncio
import contextlib
import itertools
import queue
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import DatabaseRefused, DatabaseUnavailable
from gateway.sql.driver import Batch, NoTable, Row

T = TypeVar("T")

_BUSY_MS = 2000
"""How long SQLite waits for another process that writes."""
_CLOSE_S = 5.0


class Sqlite:
    """One connection in one thread of its own, made with the first call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._overdue: asyncio.Future[Any] | None = None
        """A call that did not end in time; until it does, none is taken on, or they would pile up."""

    async def fetch(self, statement: str, params: Row, timeout_s: float) -> list[tuple[Any, ...]]:
        def job(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(_numbered(statement), params).fetchall()

        return await self._run(job, timeout_s)

    async def write(self, batches: Sequence[Batch], timeout_s: float) -> None:
        def job(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")  # a transaction that begins by reading may be refused when it writes
            try:
                for statement, rows in batches:
                    for together, params in _together(statement, rows):
                        connection.execute(together, params)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        await self._run(job, timeout_s)

    async def close(self) -> None:
        if self._thread is not None and self._overdue is None:
            with contextlib.suppress(DatabaseUnavailable):
                await self._run(self._disconnect, _CLOSE_S)
        self._jobs.put(None)

    async def _run(self, job: Callable[[sqlite3.Connection], T], timeout_s: float) -> T:
        if self._overdue is not None and not self._overdue.done():
            raise DatabaseUnavailable(f"{self._path}: an earlier call has not come back from the disk")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = job(self._connected())
            except BaseException as error:
                _tell(loop, done, error=error)
            else:
                _tell(loop, done, result=result)

        if self._thread is None:
            # A daemon, since a disk that does not answer must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="sqlite", daemon=True)
            self._thread.start()
        self._jobs.put(work)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(done)
        except TimeoutError:
            self._overdue = done
            done.add_done_callback(_heard)
            if self._connection is not None:
                self._connection.interrupt()
            raise DatabaseUnavailable(f"{self._path} did not answer within {timeout_s:g} s") from None
        except sqlite3.OperationalError as error:
            kind = NoTable if "no such table" in str(error) else DatabaseUnavailable
            raise kind(f"{self._path}: {error}") from None
        except sqlite3.Error as error:
            raise _sqlite_fault(self._path, error) from None
        except OSError as error:
            raise DatabaseUnavailable(f"{self._path}: {error.strerror}") from None
        except (OverflowError, UnicodeError) as error:
            raise DatabaseRefused(f"{self._path}: {error}") from None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            make_private(self._path)
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_MS / 1000)
            try:
                _use_wal(connection)
                # Of a machine that loses power the last transactions may be gone; the file stays whole.
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self, connection: sqlite3.Connection) -> None:
        self._connection = None
        connection.close()


def make_private(path: Path) -> None:
    """Have the file there, and the folders it stands in: new ones for the user of this process alone.

    What SQLite puts beside a file (-wal, -shm) has the file's mode. One that is there already keeps its own.
    """
    for folder in reversed(path.parent.parents):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Of a new file's first connections several may want this at once, and SQLite lets none of them wait for it."""
    ends_at = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends_at:
                raise
            time.sleep(0.01)


def _sqlite_fault(path: Path, error: sqlite3.Error) -> Exception:
    """Whether what was written is at fault, or the file."""
    are_rows = isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.InterfaceError)
    return (DatabaseRefused if are_rows else DatabaseUnavailable)(f"{path}: {error}")


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[T]",
    *,
    result: T | None = None,
    error: BaseException | None = None,
) -> None:
    def settle() -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)


def _heard(done: "asyncio.Future[Any]") -> None:
    """An exception that nobody reads would be logged when it is collected."""
    if not done.cancelled():
        done.exception()


@lru_cache(maxsize=64)
def _numbered(statement: str) -> str:
    """`$1` as SQLite writes it."""
    return re.sub(r"\$(\d+)", r"?\1", statement)


_VALUES = re.compile(r"(INSERT INTO .* VALUES )\((\$\d+(?:, \$\d+)*)\)([^$]*)", re.DOTALL)
_TOGETHER = 64
"""Rows of one INSERT: SQLite takes 32,766 parameters in a statement, and few so long ones are worth remembering."""


def _together(statement: str, rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """`statement` for all of `rows`, in as few statements as may be.

    Each gives up the interpreter's lock and waits for it again. With one for each row the event loop and this thread
    took turns 1,000 times for a batch, and neither got anywhere: 0.9 ms a row on a busy machine, now 0.03.
    """
    insert = _VALUES.fullmatch(statement)
    if insert is None or insert[2] != ", ".join(f"${n}" for n in range(1, insert[2].count("$") + 1)):
        yield from ((_numbered(statement), row) for row in rows)
        return
    places = f"({', '.join('?' * insert[2].count('$'))})"
    start = 0
    while start < len(rows):
        count = min(_TOGETHER, 1 << (len(rows) - start).bit_length() - 1)  # powers of two: few different statements
        chunk = rows[start : start + count]
        yield f"{insert[1]}{', '.join([places] * count)}{insert[3]}", tuple(itertools.chain.from_iterable(chunk))
        start += count
