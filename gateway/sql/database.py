"""The database that the configuration names, with tables that are up to date."""

import asyncio
import contextlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from gateway.config.database_url import fault_of, shown, sqlite_path
from gateway.errors import ConfigError, DatabaseUnavailable
from gateway.sql.driver import Batch, Driver, NoTable
from gateway.sql.postgres import Postgres
from gateway.sql.sqlite import Sqlite

_CALL_S = 5.0
"""One call, connecting included."""
_MIGRATE_S = 300.0
"""Bringing the tables up to date; a large ledger may have to be rewritten."""
_MIGRATE_AGAIN_S = 30.0
"""A try takes a second of CPU, and whoever calls may call often."""
_VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"


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
        self._driver: Driver = Postgres(url) if path is None else Sqlite(path)
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
