"""The one SQL database, SQLite or Postgres, as a serving process uses it: a few fixed statements over a bare driver.

SQLAlchemy describes the tables (`tables.py`), makes and moves them (`migrations/`), and asks what
reports ask. It is not loaded here, nor by anything that serves: it takes a second of CPU to import and
25 MB, a fifth of a worker. So statements here are text; one dialect serves both engines: `$1`, `$2`
for parameters, `ON CONFLICT`, integers, text and booleans.

Tables of yours: describe them in `tables.py`, add `migrations/versions/vNNNN_what.py` after the last
one there, and read and write through `Database.fetch` and `Database.write`. The tables are brought up to
date when a database is first used, by a process of its own that ends thereafter.

When the database is away, slow, locked or full, every call raises `DatabaseUnavailable` within its time-out,
and the next call starts afresh. Nothing here retries: whoever calls knows what may wait.
"""

import asyncio
import contextlib
import itertools
import queue
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from gateway.errors import ConfigError, DatabaseRefused, DatabaseUnavailable

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")
Row = Sequence[Any]
Batch = tuple[str, Sequence[Row]]
"""A statement and the rows of parameters to run it with."""

_SQLITE = "sqlite:///"
_CALL_S = 5.0
"""One call, connecting included."""
_MIGRATE_S = 300.0
"""Bringing the tables up to date; a large ledger may have to be rewritten."""
_MIGRATE_AGAIN_S = 30.0
"""A try takes a second of CPU, and whoever calls may call often."""
_BUSY_MS = 2000
"""How long SQLite waits for another process that writes."""
_VERSIONS = Path(__file__).parent / "migrations" / "versions"


class _Driver(Protocol):
    async def fetch(self, statement: str, params: Row, timeout_s: float) -> list[tuple[Any, ...]]: ...
    async def write(self, batches: Sequence[Batch], timeout_s: float) -> None: ...
    async def close(self) -> None: ...


class Database:
    """An async context manager; connects when first used. Calls are served one after the other.

    `url`: as in the configuration's `ledger`. Raises ConfigError for one that cannot be served here. One that is
    `only_read` leaves tables as they are, and raises NoTable where they are not made yet.
    """

    def __init__(self, url: str, *, only_read: bool = False) -> None:
        if (fault := fault_of(url)) is not None:
            raise ConfigError([f"ledger: {fault}"])
        self._url = url
        self._leaves_tables = only_read
        self.name = shown(url)
        """For messages: without user and password."""
        self.is_postgres = sqlite_path(url) is None
        if self.is_postgres and find_spec("asyncpg") is None:
            raise ConfigError(["ledger: asyncpg is not installed: pip install 'llm-gateway[postgres]', or use sqlite"])
        path = sqlite_path(url)
        self._driver: _Driver = _Postgres(url) if path is None else _Sqlite(path)
        self._is_current = False
        self._failed: tuple[float, str] | None = None
        """When the tables could not be brought up to date, and why."""
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._driver.close()

    @property
    def is_made(self) -> bool:
        """False for a SQLite file that nobody has made yet."""
        path = sqlite_path(self._url)
        return path is None or path.exists()

    async def fetch(self, statement: str, *params: Any, timeout_s: float = _CALL_S) -> list[tuple[Any, ...]]:
        """The rows of a query, all of them."""
        async with self._my_turn(timeout_s):
            return await self._driver.fetch(statement, params, timeout_s)

    async def write(self, *batches: Batch, timeout_s: float = _CALL_S) -> None:
        """Run each statement with each of its rows, all in one transaction.

        After DatabaseUnavailable it may or may not have happened: write what can be written twice.
        Raises DatabaseRefused where the rows themselves are at fault.
        """
        async with self._my_turn(timeout_s):
            await self._driver.write(batches, timeout_s)

    @contextlib.asynccontextmanager
    async def _my_turn(self, timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                await self._turn.acquire()
        except TimeoutError:
            raise DatabaseUnavailable(f"{self.name} is busy with another call") from None
        try:
            if not (self._is_current or self._leaves_tables):
                await self._bring_up_to_date(timeout_s)
            yield
        finally:
            self._turn.release()

    async def _bring_up_to_date(self, timeout_s: float) -> None:
        """Have the tables made or moved where they are not those of this version; see `migrations`."""
        if await self._version(timeout_s) < newest_version():
            now = asyncio.get_running_loop().time()
            if self._failed is not None and now < self._failed[0] + _MIGRATE_AGAIN_S:
                raise DatabaseUnavailable(self._failed[1])
            try:
                await _migrate_in_a_child(self._url, self.name)
            except DatabaseUnavailable as error:
                self._failed = (now, str(error))
                raise
        self._is_current = True

    async def _version(self, timeout_s: float) -> str:
        """Versions sort as text; empty where there are no tables yet."""
        try:
            rows = await self._driver.fetch("SELECT version_num FROM alembic_version", (), timeout_s)
        except NoTable:
            return ""
        return str(rows[0][0]) if rows else ""


def newest_version() -> str:
    """`0001` for the last of `v0001_….py`."""
    return max(file.name[1:5] for file in _VERSIONS.glob("v[0-9]*.py"))


def sqlite_path(url: str) -> Path | None:
    """Where the file is, relative to the working directory or with four slashes absolute; None: it is Postgres."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def fault_of(url: str) -> str | None:
    """What a URL lacks to be that of a database; shows nothing of it, for it may hold a password."""
    path = sqlite_path(url)
    if path is not None and path.name:
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("postgres", "postgresql") or parts.port == 0:
            return "expected sqlite:///FILE or postgresql://USER@HOST:PORT/NAME"
    except ValueError:
        return "expected a host and a port from 1 to 65535 (in a password, / ? # [ ] are %2F %3F %23 %5B %5D)"
    return None


def shown(url: str) -> str:
    """A database's URL as it may be logged: no user, no password, no options."""
    if sqlite_path(url) is not None:
        return url
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{parts.hostname or ''}{port}{parts.path}"


class NoTable(DatabaseUnavailable):
    """The query names a table that is not there: so are tables before they are made."""


async def _migrate_in_a_child(url: str, name: str) -> None:
    """The libraries for it stay out of this process. The URL goes by stdin: a command line can be read by anyone."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.migrations"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_MIGRATE_S):
            _, said = await child.communicate(url.encode())
    except TimeoutError:
        raise DatabaseUnavailable(f"{name}: the tables could not be brought up to date in {_MIGRATE_S:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise DatabaseUnavailable(f"{name}: the tables could not be brought up to date: {said.decode()[-500:].strip()}")


# ------------------------------------------------------------------ SQLite


class _Sqlite:
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
                await self._run(self._disconnect, _CALL_S)
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


# ------------------------------------------------------------------ Postgres


class _Postgres:
    """One connection, made anew after every failure."""

    def __init__(self, url: str) -> None:
        self._dsn = libpq_url(url)
        self._name = shown(url)
        self._connection: asyncpg.Connection | None = None

    async def fetch(self, statement: str, params: Row, timeout_s: float) -> list[tuple[Any, ...]]:
        rows = await self._run(lambda connection: connection.fetch(statement, *params), timeout_s)
        return [tuple(row) for row in rows]

    async def write(self, batches: Sequence[Batch], timeout_s: float) -> None:
        async def call(connection: "asyncpg.Connection") -> None:
            async with connection.transaction():
                for statement, rows in batches:
                    await connection.executemany(statement, rows)

        await self._run(call, timeout_s)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)

    async def _run(self, call: Callable[["asyncpg.Connection"], Any], timeout_s: float) -> Any:
        import asyncpg

        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        is_late = False
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(
                    self._dsn,
                    timeout=timeout_s,
                    statement_cache_size=0,  # a PgBouncer in between may give each transaction another server
                    server_settings={"application_name": "llm-gateway"},
                )
            connection = self._connection

            # Not by cancelling: asyncpg would ask the server to stop, over another connection, and wait for that.
            def give_up() -> None:
                nonlocal is_late
                is_late = True
                connection.terminate()

            timer = loop.call_at(ends_at, give_up)
            try:
                return await call(connection)
            finally:
                timer.cancel()
        except asyncpg.UndefinedTableError as error:
            raise NoTable(f"{self._name}: {error}") from None
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.exceptions.DataError) as error:
            raise DatabaseRefused(f"{self._name}: {error}") from None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._abandon()
            why = f"did not answer within {timeout_s:g} s" if is_late else f"{type(error).__name__}: {error}"
            raise DatabaseUnavailable(f"{self._name}: {why}") from None
        except asyncio.CancelledError:
            self._abandon()
            raise

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def libpq_url(url: str) -> str:
    """`postgres://…` under the name that every driver knows; `?host=/a/socket/folder` and `?sslmode=` stay."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="postgresql"))


def sqlalchemy_url(url: str) -> str:
    """The same database for SQLAlchemy: with the driver's name, and asyncpg's word for `sslmode`."""
    path = sqlite_path(url)
    if path is not None:
        return f"sqlite+aiosqlite:///{path}"
    parts = urlsplit(url)
    options = [("ssl" if name == "sslmode" else name, value) for name, value in parse_qsl(parts.query)]
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=urlencode(options)))
