"""The ledger's database, for the admin port: the one that the configuration in force names."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.errors import DatabaseSilent, DatabaseUnavailable, NotFound
from gateway.server.crew import CREW
from gateway.sql import Database

log = logging.getLogger(__name__)


class LedgerDatabase:
    """Opened when first asked for, and anew when a reload names another."""

    def __init__(self) -> None:
        self._url = ""
        self._open: Database | None = None

    async def at(self, url: str) -> Database:
        if self._open is None or url != self._url:
            await self.close()
            self._url, self._open = url, Database(url)
        return self._open

    async def close(self) -> None:
        database, self._open = self._open, None
        if database is not None:
            await database.__aexit__()


_DATABASE = web.AppKey("database", LedgerDatabase)
_FOR_SUMS = web.AppKey("database for sums", LedgerDatabase)
"""A database serves one call after the other, and to revoke a key must not wait for sums over a week."""


def open_database(app: web.Application) -> None:
    """Have `database_of` work for the handlers of `app`."""
    app[_DATABASE], app[_FOR_SUMS] = LedgerDatabase(), LedgerDatabase()

    async def close(app: web.Application) -> None:
        await app[_DATABASE].close()
        await app[_FOR_SUMS].close()

    app.on_cleanup.append(close)


@asynccontextmanager
async def database_of(request: web.Request, what: str, *, for_sums: bool = False) -> AsyncIterator[Database]:
    """For as long as it takes to ask it; `for_sums`: that may be long. Raises NotFound where there is none, for `what`
    is kept there, and DatabaseSilent when it does not answer."""
    url = request.app[CREW].config.ledger
    if url == "none":
        raise NotFound(f"{what} in the ledger's database: set `ledger` to one.")
    try:
        yield await request.app[_FOR_SUMS if for_sums else _DATABASE].at(url)
    except DatabaseUnavailable as error:
        log.warning("%s", error)
        raise DatabaseSilent from None
