"""Reading prompts from the database, for those who show or change them; serving reads in `registry.py`."""

from typing import Any

import orjson

from gateway.errors import NotFound
from gateway.prompts.changes import Pointing, Standing, arms_of, pointing
from gateway.prompts.document import Shadow
from gateway.sql import Database

_SEQ = "SELECT version FROM prompts_version WHERE id = 1"
_ONE = (
    "SELECT id, name, newest, bytes, created_ms, archived_ms,"
    " (SELECT digest FROM prompt_versions WHERE prompt_id = id AND number = newest)"
    " FROM prompts WHERE id = $1 OR name = $1"
)
_SEVERAL = (
    "SELECT id, name, newest, bytes, created_ms, archived_ms, NULL FROM prompts WHERE name > $1 ORDER BY name LIMIT $2"
)
_IN_ALL = "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM prompts WHERE archived_ms IS NULL"
_LABELS = (
    "SELECT prompt_id, label, arms, sticky_by, since FROM prompt_labels WHERE prompt_id IN"
    " (SELECT id FROM prompts WHERE name >= $1 AND name <= $2) ORDER BY label"
)
_SHADOWS = (
    "SELECT prompt_id, shadow FROM prompt_shadow WHERE shadow IS NOT NULL AND prompt_id IN"
    " (SELECT id FROM prompts WHERE name >= $1 AND name <= $2)"
)
_VERSIONS = "SELECT number, digest, author, created_ms FROM prompt_versions WHERE prompt_id = $1 ORDER BY number"
_DOCUMENT = (
    "SELECT number, digest, author, created_ms, document FROM prompt_versions WHERE prompt_id = $1 AND number = $2"
)
_BEFORE = "SELECT before FROM prompt_audit WHERE seq = $1"
_AUDIT = (
    "SELECT a.seq, a.at_ms, p.name, a.prompt_id, a.author, a.action, a.label, a.before, a.after"
    " FROM prompt_audit a JOIN prompts p ON p.id = a.prompt_id"
    " WHERE a.seq < $1 AND (CAST($2 AS TEXT) IS NULL OR a.prompt_id = $2) ORDER BY a.seq DESC LIMIT $3"
)


class Rows:
    """Every method raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seq(self) -> int:
        """The number of the last change. A change is made of what is read after it."""
        ((seq,),) = await self._database.fetch(_SEQ)
        return int(seq)

    async def find(self, name: str) -> Standing | None:
        """By name or id."""
        found = await self._standing(_ONE, name)
        return found[0] if found else None

    async def get(self, name: str) -> Standing:
        """Raises NotFound."""
        found = await self.find(name)
        if found is None:
            raise NotFound(f"There is no prompt '{name}'.")
        return found

    async def several(self, after: str, limit: int) -> list[Standing]:
        """In the order of their names, from the first after `after` on."""
        return await self._standing(_SEVERAL, after, limit)

    async def in_all(self) -> tuple[int, int]:
        """How many prompts there are, and the bytes of their documents; without what is archived."""
        ((prompts, size),) = await self._database.fetch(_IN_ALL)
        return prompts, size

    async def versions(self, id_: str) -> list[tuple[Any, ...]]:
        """Number, digest, author and time of each."""
        return await self._database.fetch(_VERSIONS, id_)

    async def document(self, id_: str, number: int) -> tuple[Any, ...] | None:
        """The same of one, and what it says, as JSON."""
        rows = await self._database.fetch(_DOCUMENT, id_, number)
        return rows[0] if rows else None

    async def before(self, now: Pointing) -> Pointing | None:
        """Where a label pointed before it came to point where it does `now`; None: nowhere."""
        ((before,),) = await self._database.fetch(_BEFORE, now.since)
        return None if before is None else pointing(before)

    async def audit(self, id_: str | None, before: int, limit: int) -> list[tuple[Any, ...]]:
        """Changes with a number below `before`, the last first; None for those of all prompts."""
        return await self._database.fetch(_AUDIT, before, id_, limit)

    async def _standing(self, statement: str, *params: Any) -> list[Standing]:
        rows = await self._database.fetch(statement, *params)
        if not rows:
            return []
        first, last = rows[0][1], rows[-1][1]
        labels: dict[str, dict[str, Pointing]] = {}
        for id_, label, arms, sticky_by, since in await self._database.fetch(_LABELS, first, last):
            labels.setdefault(id_, {})[label] = Pointing(arms_of(orjson.loads(arms)), sticky_by, since)
        shadows = await self._database.fetch(_SHADOWS, first, last)
        shadow = {id_: Shadow.model_validate_json(text) for id_, text in shadows}
        return [Standing(*(*row, labels.get(row[0], {}), shadow.get(row[0]))) for row in rows]
