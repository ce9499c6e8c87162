"""Postgres, over asyncpg."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gateway.config.database_url import libpq_url, shown
from gateway.errors import DatabaseRefused, DatabaseUnavailable
from gateway.sql.driver import Batch, NoTable, Row

if TYPE_CHECKING:
    import asyncpg


class Postgres:
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
