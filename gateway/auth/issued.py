"""The keys that were issued at run time, as a serving process knows them.

All of them are held in memory, so that no request waits for the database, nor asks it anything. A counter in
the database, looked at every `POLL_S`, says when something has changed; then the changed rows are read. So what
is created or revoked anywhere holds everywhere within a second.

While the database is away the keys last known go on as they are, those revoked meanwhile included
(`gateway_keys_age_seconds` says since when); expiry goes on by the clock. A process that could not
read them yet answers 503 to what may be one of them.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Self

from pydantic import ValidationError

from gateway.auth.rights import Callers, within
from gateway.auth.secret import may_be_issued
from gateway.clock import Clock
from gateway.config.model import IssuedKey
from gateway.errors import DatabaseUnavailable, KeysUnavailable
from gateway.sql import Database, NoTable
from gateway.values import Caller

log = logging.getLogger(__name__)

POLL_S = 0.5
_READ_S = 1.0
"""One look at the database; what takes longer is tried again at the next."""
_START_S = 1.0
"""How long a start waits for the first of them."""
MOST_ISSUERS = 4
"""Keys above a key, one issued under the other."""
_VERSION = "SELECT version FROM issued_keys_version WHERE id = 1"
_CHANGED = (
    "SELECT name, settings, digest, old_digest, old_until_ms, revoked_ms FROM issued_keys"
    " WHERE changed > $1 ORDER BY changed"
)


@dataclass(frozen=True, slots=True)
class Issued:
    """One of them."""

    key: IssuedKey
    digest: bytes
    old_digest: bytes | None
    """The secret before the last rotation, good until `old_until_s`."""
    old_until_s: float
    is_revoked: bool


class _Found(NamedTuple):
    caller: Caller
    until_s: float


class IssuedKeys:
    """An async context manager: entered, it knows the keys, or has tried to for `_START_S`.

    `know` is told of every key with limits or budgets of its own, or with an issuer, before it is found here.
    """

    def __init__(self, database: Database, callers: Callers, clock: Clock, know: Callable[[IssuedKey], None]) -> None:
        self._database = database
        self._callers = callers
        self._clock = clock
        self._know = know
        self._version: int | None = None
        self._confirmed_s = clock.monotonic()
        self._is_away = False
        self._by_name: dict[str, Issued] = {}
        self._names: dict[bytes, str] = {}
        """By the digest of a secret, present or past."""
        self._found: dict[bytes, _Found] = {}
        """Callers that were asked for since the last change."""

    async def __aenter__(self) -> Self:
        has_tried = asyncio.Event()
        self._task = asyncio.create_task(self._poll(has_tried), name="look for changed keys")
        with suppress(TimeoutError):
            await asyncio.wait_for(has_tried.wait(), _START_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    # ------------------------------------------------------------------ who it is

    def find(self, secret: str, digest: bytes) -> Caller | None:
        """The caller that `secret` belongs to; None for whatever is not, or no longer, a key.

        Raises KeysUnavailable for what may be one, as long as none could be read.
        """
        found = self._found.get(digest)
        if found is None:
            found = self._look_up(digest) if may_be_issued(secret) else None
        return None if found is None or self._clock.wall() >= found.until_s else found.caller

    def _look_up(self, digest: bytes) -> _Found | None:
        name = self._names.get(digest)
        if name is None:
            if self._version is None:
                raise KeysUnavailable
            return None
        issued = self._by_name[name]
        found = self._under_its_issuers(issued)
        if found is not None:
            until_s = found.until_s if digest == issued.digest else min(found.until_s, issued.old_until_s)
            found = self._found[digest] = found._replace(until_s=until_s)
        return found

    def _under_its_issuers(self, issued: Issued) -> _Found | None:
        """What it may do, and until when: never more, nor longer, than any of its issuers."""
        key = issued.key
        caller, until_s = self._callers.of(key.name, key), key.until_s
        for _ in range(MOST_ISSUERS + 1):
            if issued.is_revoked or key.name in self._callers.by_name:  # the configuration may have taken its name
                return None
            if key.issuer is None:
                return _Found(caller, until_s)
            if (configured := self._callers.by_name.get(key.issuer)) is not None:
                return _Found(within(caller, configured), until_s)
            if key.issuer not in self._by_name:
                return None
            issued = self._by_name[key.issuer]
            key = issued.key
            caller = within(caller, self._callers.of(key.name, key))
            until_s = min(until_s, key.until_s)
        return None

    # ------------------------------------------------------------------ what there is to see

    def __len__(self) -> int:
        """Keys that are not revoked."""
        return sum(not issued.is_revoked for issued in self._by_name.values())

    def has(self, name: str) -> bool:
        """Whether a key of this name was ever issued."""
        return name in self._by_name

    @property
    def age_s(self) -> float:
        """Seconds since the database last confirmed what is known here."""
        return self._clock.monotonic() - self._confirmed_s

    # ------------------------------------------------------------------ keeping up

    async def refresh(self) -> None:
        """Know what the database knows now. Raises DatabaseUnavailable."""
        if not self._database.is_made:  # nobody has issued a key yet, and looking must not make it
            self._version = self._version or 0
        else:
            version = await self._present_version()
            if version != self._version:
                await self._read(version)
        self._confirmed_s = self._clock.monotonic()

    async def _present_version(self) -> int:
        try:
            ((version,),) = await self._database.fetch(_VERSION, timeout_s=_READ_S)
        except NoTable:
            if self._version:
                raise
            return 0  # whoever issues the first key makes it
        return int(version)

    async def _read(self, version: int) -> None:
        is_older = self._version is not None and version < self._version  # the database came back from a backup
        since = -1 if is_older or self._version is None else self._version
        rows = await self._database.fetch(_CHANGED, since, timeout_s=_READ_S) if version else []
        if is_older:
            self._by_name.clear()
            self._names.clear()
        for row in rows:
            self._take(*row)
        self._found.clear()
        self._version = version

    def _take(
        self,
        name: str,
        settings: str,
        digest: str,
        old_digest: str | None,
        old_until_ms: int | None,
        revoked_ms: int | None,
    ) -> None:
        before = self._by_name.pop(name, None)
        for known in () if before is None else (before.digest, before.old_digest):
            self._names.pop(known or b"", None)
        try:
            key = IssuedKey.model_validate_json(settings)
        except ValidationError:  # written by a version that knows more than this one: better refused than misread
            log.error("key '%s' cannot be read by this version and is refused", name)
            return
        old = bytes.fromhex(old_digest) if old_digest else None
        issued = Issued(key, bytes.fromhex(digest), old, (old_until_ms or 0) / 1000, revoked_ms is not None)
        self._know(key)
        self._by_name[name] = issued
        for known in (issued.digest, issued.old_digest):
            if known:
                self._names[known] = name

    async def _poll(self, has_tried: asyncio.Event) -> None:
        while True:
            try:
                await self.refresh()
                if self._is_away:
                    log.info("keys: the database is back")
                self._is_away = False
            except DatabaseUnavailable as error:
                if not self._is_away:
                    log.warning("keys: %s; the %d keys last known go on", error, len(self))
                self._is_away = True
            except Exception:
                log.exception("keys: changes could not be read")
            has_tried.set()
            await asyncio.sleep(POLL_S)
