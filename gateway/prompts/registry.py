"""The prompts that were pushed, as a serving process knows them.

All of them are held in memory, so that no request waits for the database, nor asks it anything. A counter in the
database, looked at every `POLL_S`, says when something has changed; then the changed rows are read. So what
is activated or rolled back anywhere holds everywhere within a second.

While the database is away the versions last known serve on (`gateway_prompts_age_seconds` says since when). A
process that could not read them yet answers 503 to requests that name a prompt.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from pydantic import ValidationError

from gateway.clock import Clock
from gateway.errors import DatabaseUnavailable, PromptsUnavailable
from gateway.prompts.document import PromptDocument, Shadow
from gateway.prompts.version import Arm, Prompt, Version
from gateway.sql import Database, NoTable

log = logging.getLogger(__name__)

POLL_S = 0.5
_READ_S = 1.0
"""One look at the database; what takes longer is tried again at the next."""
_START_S = 1.0
"""How long a start waits for the first of them."""
_PAGE = 50
"""Versions that are read, or prompts put in order, before requests have their turn."""
_VERSION = "SELECT version FROM prompts_version WHERE id = 1"
_PROMPTS = "SELECT id, name, archived_ms FROM prompts WHERE changed > $1"
_LABELS = "SELECT prompt_id, label, arms, sticky_by FROM prompt_labels WHERE changed > $1"
_SHADOWS = "SELECT prompt_id, shadow FROM prompt_shadow WHERE changed > $1"
_VERSIONS = (
    "SELECT changed, prompt_id, number, digest, author, created_ms, document FROM prompt_versions v"
    " WHERE (changed, prompt_id, number) > ($1, $2, $3)"
    " AND NOT EXISTS (SELECT 1 FROM prompts WHERE id = v.prompt_id AND archived_ms IS NOT NULL)"
    " ORDER BY changed, prompt_id, number LIMIT $4"
)


@dataclass(slots=True)
class _Changes:
    """What was read of one prompt."""

    versions: dict[int, Version] = field(default_factory=dict)
    labels: dict[str, tuple[Arm, ...]] = field(default_factory=dict)
    sticky_by: dict[str, str] = field(default_factory=dict)
    shadow: tuple[Shadow | None] | None = None
    """None where nothing was said of it."""


class Registry:
    """An async context manager: entered, it knows the prompts, or has tried to for `_START_S`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._version: int | None = None
        self._confirmed_s = clock.monotonic()
        self._is_away = False
        self._by_id: dict[str, Prompt] = {}
        self._by_either: dict[str, Prompt] = {}
        """By name and by id. Neither is ever the other of another prompt: no name begins as ids do."""
        self._turn = asyncio.Lock()
        self.is_empty = False
        """Known to hold no prompt: a request need not be looked at for one."""

    async def __aenter__(self) -> Self:
        has_tried = asyncio.Event()
        self._task = asyncio.create_task(self._poll(has_tried), name="look for changed prompts")
        with suppress(TimeoutError):
            await asyncio.wait_for(has_tried.wait(), _START_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    # ------------------------------------------------------------------ what it knows

    def get(self, id_or_name: str) -> Prompt | None:
        """None where nobody pushed it, or it is archived. Raises PromptsUnavailable as long as none could be read."""
        if self._version is None:
            raise PromptsUnavailable
        return self._by_either.get(id_or_name)

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def versions(self) -> int:
        """Of all prompts."""
        return sum(len(prompt.versions) for prompt in self._by_id.values())

    @property
    def age_s(self) -> float:
        """Seconds since the database last confirmed what is known here."""
        return self._clock.monotonic() - self._confirmed_s

    # ------------------------------------------------------------------ keeping up

    async def refresh(self) -> None:
        """Know what the database knows now. Raises DatabaseUnavailable."""
        async with self._turn:  # a look that began earlier must not end later, with older arms
            version = await self._present_version()
            if version != self._version:
                await self._read(version)
            self._confirmed_s = self._clock.monotonic()

    async def _present_version(self) -> int:
        if not self._database.is_made:  # nobody has pushed a prompt yet, and looking must not make it
            return self._version or 0
        try:
            ((version,),) = await self._database.fetch(_VERSION, timeout_s=_READ_S)
        except NoTable:
            if self._version:
                raise
            return 0  # whoever pushes the first prompt makes it
        return int(version)

    async def _read(self, version: int) -> None:
        """Read what has changed; of a prompt it shows only when all of it is there.

        Labels are read before versions and these before prompts: a change in between can add to what a label needs,
        and takes nothing away.
        """
        is_anew = self._version is None or version < self._version  # the database came back from a backup
        since = -1 if is_anew or self._version is None else self._version
        changes: dict[str, _Changes] = {}
        rows = []
        if version:
            await self._read_labels(changes, since)
            await self._read_versions(changes, since)
            rows = await self._database.fetch(_PROMPTS, since, timeout_s=_READ_S)
        if is_anew:
            self._by_id.clear()
            self._by_either.clear()
        for count, (id_, name, archived_ms) in enumerate(rows, 1):
            if archived_ms is None:
                prompt = _changed(self._by_id.get(id_), name, id_, changes.get(id_) or _Changes())
                self._by_id[id_] = self._by_either[id_] = self._by_either[name] = prompt
            else:
                for known in (self._by_id, self._by_either):
                    known.pop(id_, None)
                self._by_either.pop(name, None)
            if count % _PAGE == 0:
                await asyncio.sleep(0)
        self._version = version
        self.is_empty = not self._by_id

    async def _read_labels(self, changes: dict[str, _Changes], since: int) -> None:
        for id_, label, arms, sticky_by in await self._database.fetch(_LABELS, since, timeout_s=_READ_S):
            of = changes.setdefault(id_, _Changes())
            of.labels[label] = tuple(Arm(number, weight) for number, weight in orjson.loads(arms))
            of.sticky_by[label] = sticky_by or ""
        for id_, shadow in await self._database.fetch(_SHADOWS, since, timeout_s=_READ_S):
            changes.setdefault(id_, _Changes()).shadow = (_shadow(id_, shadow),)

    async def _read_versions(self, changes: dict[str, _Changes], since: int) -> None:
        last: tuple[int, str, int] | None = (since + 1, "", 0)
        while last is not None:
            rows = await self._database.fetch(_VERSIONS, *last, _PAGE, timeout_s=_READ_S)
            for row in rows:
                id_, version = _version(row)
                if version is not None:
                    changes.setdefault(id_, _Changes()).versions[version.number] = version
                await asyncio.sleep(0)  # a document may be a megabyte, and requests are being served
            last = rows[-1][:3] if len(rows) == _PAGE else None

    async def _poll(self, has_tried: asyncio.Event) -> None:
        while True:
            try:
                await self.refresh()
                if self._is_away:
                    log.info("prompts: the database is back")
                self._is_away = False
            except DatabaseUnavailable as error:
                if not self._is_away:
                    log.warning("prompts: %s; the %d prompts last known go on", error, len(self))
                self._is_away = True
            except Exception:
                log.exception("prompts: changes could not be read")
            has_tried.set()
            await asyncio.sleep(POLL_S)


def _changed(before: Prompt | None, name: str, id_: str, changes: _Changes) -> Prompt:
    """`before` with `changes`; new throughout, for requests may be holding the one before."""
    versions: Mapping[int, Version] = {} if before is None else before.versions
    labels: Mapping[str, tuple[Arm, ...]] = {} if before is None else before.labels
    sticky_by: Mapping[str, str] = {} if before is None else before.sticky_by
    shadow = None if before is None else before.shadow
    return Prompt(
        name=name,
        id=id_,
        versions={**versions, **changes.versions},
        labels={**labels, **changes.labels},
        sticky_by={label: by for label, by in {**sticky_by, **changes.sticky_by}.items() if by},
        shadow=shadow if changes.shadow is None else changes.shadow[0],
    )


def _shadow(id_: str, text: str | None) -> Shadow | None:
    try:
        return None if text is None else Shadow.model_validate_json(text)
    except ValidationError:  # a gateway that knows more than this one set it
        log.error("the shadow of prompt '%s' cannot be read by this version of the gateway", id_)
        return None


def _version(row: tuple[Any, ...]) -> tuple[str, Version | None]:
    """Of which prompt, and None for what was written by a gateway that knows more than this one."""
    _, id_, number, digest, author, created_ms, document = row
    try:
        parsed = PromptDocument.model_validate_json(document)
    except ValidationError:  # better not served than misread
        log.error("version %d of prompt '%s' cannot be read by this version of the gateway", number, id_)
        return id_, None
    return id_, Version(number, parsed, digest, author, created_ms)
