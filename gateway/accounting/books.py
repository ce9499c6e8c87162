"""Asking the ledger, for offline commands: whole answers to one query, or row after row of millions.

SQLAlchemy lives here and in what imports this; serving processes only write (`ledger.py`).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Select
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.config.database_url import shown, sqlalchemy_url, sqlite_path
from gateway.errors import DatabaseUnavailable

_AT_ONCE = 20_000
"""Rows fetched in one step."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection for reading. Raises DatabaseUnavailable, in the words of whoever has to do something about it."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise DatabaseUnavailable(f"there is no ledger at {path}: name the one to read with --ledger or --config")
    try:
        engine = create_async_engine(sqlalchemy_url(url), poolclass=NullPool)
    except ModuleNotFoundError:
        raise DatabaseUnavailable("asyncpg is not installed: pip install 'llm-gateway[postgres]'") from None
    try:
        async with engine.connect() as connection:
            yield connection
    except (OperationalError, ProgrammingError) as error:
        if "no such" in str(error.orig) or "does not exist" in str(error.orig):
            text = (
                f"{shown(url)} holds no ledger of this version: start the gateway once, it brings the tables up to date"
            )
            raise DatabaseUnavailable(text) from None
        raise DatabaseUnavailable(f"{shown(url)}: {error.orig}") from None
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnavailable(f"{shown(url)}: {getattr(error, 'orig', None) or type(error).__name__}") from None
    except Exception as error:
        if not type(error).__module__.startswith("asyncpg"):  # what it says to a wrong password is not translated
            raise
        raise DatabaseUnavailable(f"{shown(url)}: {error}") from None
    finally:
        await engine.dispose()


async def parts(connection: AsyncConnection, query: Select[Any]) -> AsyncIterator[Sequence[Any]]:
    """The rows of `query`, some thousands at a time, never all of them in memory at once."""
    result = await connection.stream(query.execution_options(yield_per=_AT_ONCE))
    async for part in result.partitions():
        yield part


async def each(connection: AsyncConnection, query: Select[Any]) -> AsyncIterator[Any]:
    """The rows of `query`, one after the other."""
    async for part in parts(connection, query):
        for row in part:
            yield row
