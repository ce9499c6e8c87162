"""What SQLite and Postgres have in common: statements with their parameters, and what may go wrong."""

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.errors import DatabaseUnavailable

Row = Sequence[Any]
Batch = tuple[str, Sequence[Row]]
"""A statement and the rows of parameters to run it with."""


class Driver(Protocol):
    async def fetch(self, statement: str, params: Row, timeout_s: float) -> list[tuple[Any, ...]]: ...
    async def write(self, batches: Sequence[Batch], timeout_s: float) -> None: ...
    async def close(self) -> None: ...


class NoTable(DatabaseUnavailable):
    """The query names a table that is not there: so are tables before they are made."""
