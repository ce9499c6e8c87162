"""Issuing keys: created, listed, rotated and revoked in the database that all processes look at.

For the admin port. A name is used once: what it spent stays under it, so a revoked key is kept.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from gateway.auth.issued import MOST_ISSUERS
from gateway.auth.rights import Callers, exceeds
from gateway.auth.secret import digest_of, make_secret
from gateway.clock import Clock
from gateway.config.check import check_rights, is_reserved
from gateway.config.model import Config, IssuedKey
from gateway.config.problem import dotted
from gateway.errors import BadRequest, Conflict, DatabaseRefused, NotFound
from gateway.sql import Database
from gateway.values import Caller

log = logging.getLogger(__name__)

MOST_LISTED = 1000
_COUNT_UP = "UPDATE issued_keys_version SET version = version + 1 WHERE id = 1"
"""First in every transaction: it makes others wait, so that changes become visible in the order of their numbers."""
_CREATE = (
    "INSERT INTO issued_keys (name, team, issuer, settings, digest, created_ms, changed)"
    " VALUES ($1, $2, $3, $4, $5, $6, (SELECT version FROM issued_keys_version WHERE id = 1))"
)
_ROTATE = (
    "UPDATE issued_keys SET old_digest = digest, old_until_ms = $3, digest = $2,"
    " changed = (SELECT version FROM issued_keys_version WHERE id = 1) WHERE name = $1 AND revoked_ms IS NULL"
)
_REVOKE = (
    "UPDATE issued_keys SET revoked_ms = $2,"
    " changed = (SELECT version FROM issued_keys_version WHERE id = 1) WHERE name = $1 AND revoked_ms IS NULL"
)
_ONE = "SELECT settings, created_ms, revoked_ms, old_until_ms FROM issued_keys WHERE name = $1"
_SEVERAL = (
    "SELECT settings, created_ms, revoked_ms, old_until_ms FROM issued_keys"
    " WHERE name > $1 AND (CAST($2 AS TEXT) IS NULL OR team = $2 OR issuer IS NOT NULL) ORDER BY name LIMIT $3"
)
"""Of a team, and those that may be: a key is in its issuer's."""
_ISSUERS = (
    "SELECT name, team, issuer FROM issued_keys WHERE name IN (SELECT issuer FROM issued_keys WHERE issuer IS NOT NULL)"
)


_Issuers = Mapping[str, tuple[str | None, str | None]]
"""Key that others were issued under → its team and its own issuer."""


class _Row(NamedTuple):
    key: IssuedKey
    created_ms: int
    revoked_ms: int | None
    old_until_ms: int | None


class KeyRegistry:
    """Every method returns JSON, and raises BadRequest, NotFound, Conflict, or DatabaseUnavailable."""

    def __init__(self, config: Config, database: Database, clock: Clock) -> None:
        self._config = config
        self._callers = Callers(config)
        self._database = database
        self._clock = clock

    async def create(self, body: bytes) -> dict[str, Any]:
        """A new key as `body` describes it, with its secret: the only time that it is told."""
        key = _parse(body)
        issuers, problems = await self._issuers(key.issuer)
        if issuers and key.team is None:
            key = key.model_copy(update={"team": issuers[-1].team})
        problems = [*self._problems(key), *(problems or self._exceeding(key, issuers))]
        if problems:
            raise BadRequest("The key cannot be created: " + "; ".join(problems) + ".")
        secret, now_ms = make_secret(), self._now_ms()
        row = (key.name, key.team, key.issuer, key.model_dump_json(exclude_unset=True), digest_of(secret).hex(), now_ms)
        try:
            await self._database.write((_COUNT_UP, [()]), (_CREATE, [row]))
        except DatabaseRefused:
            raise Conflict(f"A key named '{key.name}' exists, or did: names are used once. Choose another.") from None
        log.info("key '%s' was created", key.name)
        return {**self._shown(_Row(key, now_ms, None, None), {}), "secret": secret}

    async def several(self, *, after: str, limit: int, team: str | None) -> list[dict[str, Any]]:
        """At most `limit` keys in the order of their names, from the first after `after` on."""
        limit, found = min(limit, MOST_LISTED), list[dict[str, Any]]()
        issuers = await self._issuers_of_all()
        while len(found) < limit:
            rows = [_row(row) for row in await self._database.fetch(_SEVERAL, after, team, limit)]
            shown = (self._shown(row, issuers) for row in rows)
            found += [key for key in shown if team is None or key["team"] == team]
            if len(rows) < limit:
                break
            after = rows[-1].key.name
        return found[:limit]

    async def show(self, name: str) -> dict[str, Any]:
        return self._shown(await self._get(name), await self._issuers_of_all())

    async def rotate(self, name: str, *, grace_s: float) -> dict[str, Any]:
        """A new secret for a key, told once; the one before goes on for `grace_s`."""
        await self._get(name, is_live=True)
        secret, until_ms = make_secret(), self._now_ms() + round(grace_s * 1000)
        await self._database.write((_COUNT_UP, [()]), (_ROTATE, [(name, digest_of(secret).hex(), until_ms)]))
        log.info("key '%s' was rotated", name)
        return {**await self.show(name), "secret": secret}

    async def revoke(self, name: str) -> dict[str, Any]:
        """It is a key no longer, nor is any that was issued under it. Revoking it again changes nothing."""
        await self._get(name)
        await self._database.write((_COUNT_UP, [()]), (_REVOKE, [(name, self._now_ms())]))
        log.info("key '%s' was revoked", name)
        return await self.show(name)

    # ------------------------------------------------------------------ may it be issued?

    def _problems(self, key: IssuedKey) -> list[str]:
        found = [problem.told("") for problem in check_rights(self._config, key) if not problem.is_warning]
        if key.name in self._callers.by_name:
            found.append(f"name: expected one of its own, got that of a key in the configuration, '{key.name}'")
        if is_reserved(key.name):
            found.append(
                f"name: '{key.name}' is kept for callers without a key and calls of the gateway's own; choose another"
            )
        if key.until_s <= self._clock.wall():
            found.append("expires_at: expected a time to come")
        return found

    async def _issuers(self, name: str | None) -> tuple[list[Caller], list[str]]:
        """The issuer of that name and those above it, whose team all of them are in; and what is wrong with them."""
        found: list[Caller] = []
        for _ in range(MOST_ISSUERS + 1):
            if name is None:
                return found, []
            if (configured := self._callers.by_name.get(name)) is not None:
                return [*found, configured], []
            try:
                row = await self._get(name, is_live=True)
            except (NotFound, Conflict) as error:
                return found, [f"issuer: {error}"]
            found.append(self._callers.of(row.key.name, row.key))
            name = row.key.issuer
        return found, [f"issuer: expected at most {MOST_ISSUERS} keys one under the other"]

    def _exceeding(self, key: IssuedKey, issuers: list[Caller]) -> list[str]:
        """What would be cut down as soon as the key is used: better said now."""
        caller = self._callers.of(key.name, key)
        for issuer in issuers:
            if found := exceeds(caller, replace(issuer, team=issuers[-1].team)):
                return found
        return []

    # ------------------------------------------------------------------ rows

    async def _get(self, name: str, *, is_live: bool = False) -> _Row:
        rows = await self._database.fetch(_ONE, name)
        if not rows:
            raise NotFound(f"No key named '{name}' was issued." + self._elsewhere(name))
        row = _row(rows[0])
        if is_live and row.revoked_ms is not None:
            raise Conflict(f"The key '{name}' is revoked, which is for good. Create another.")
        return row

    def _elsewhere(self, name: str) -> str:
        return " It stands in the configuration: change it there." if name in self._callers.by_name else ""

    async def _issuers_of_all(self) -> _Issuers:
        return {name: (team, issuer) for name, team, issuer in await self._database.fetch(_ISSUERS)}

    def _team(self, key: IssuedKey, issuers: _Issuers) -> str | None:
        """What it is charged to now: its issuer's team, which may be another than when it was made."""
        team, issuer = key.team, key.issuer
        while issuer is not None:
            if (configured := self._callers.by_name.get(issuer)) is not None:
                return configured.team
            if issuer not in issuers:
                break
            team, issuer = issuers[issuer]
        return team

    def _shown(self, row: _Row, issuers: _Issuers) -> dict[str, Any]:
        fields = json.loads(row.key.model_dump_json(exclude={"expires_at"}))
        return {
            **fields,
            "team": self._team(row.key, issuers),
            "state": self._state(row),
            "created_at": _time(row.created_ms),
            "expires_at": None if row.key.expires_at is None else _time(round(row.key.until_s * 1000)),
            "revoked_at": _time(row.revoked_ms),
            "previous_secret_until": _time(row.old_until_ms),
        }

    def _state(self, row: _Row) -> str:
        if row.revoked_ms is not None:
            return "revoked"
        return "expired" if row.key.until_s <= self._clock.wall() else "active"

    def _now_ms(self) -> int:
        return round(self._clock.wall() * 1000)


def _row(row: tuple[Any, ...]) -> _Row:
    settings, created_ms, revoked_ms, old_until_ms = row
    return _Row(IssuedKey.model_validate_json(settings), created_ms, revoked_ms, old_until_ms)


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _parse(body: bytes) -> IssuedKey:
    try:
        return IssuedKey.model_validate_json(body or b"{}")
    except ValidationError as error:
        problems = [_told(each) for each in error.errors(include_url=False, include_input=False, include_context=False)]
        raise BadRequest("The key cannot be created: " + "; ".join(problems) + ".") from None


def _told(error: Mapping[str, Any]) -> str:
    place = dotted(tuple(error["loc"]))
    words = "expected a known field" if error["type"] == "extra_forbidden" else str(error["msg"])
    return ": ".join(part for part in (place, words.removeprefix("Value error, ")) if part)
