"""Changing prompts: versions pushed, labels moved, split and rolled back, in the database that all processes look at.

For the admin port. What a change writes is decided in `changes.py`; here the state is read for it, and it is tried
again where another process was faster. Versions never change and are never deleted: a prompt can be archived,
which keeps its name.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from gateway.clock import Clock
from gateway.errors import BadRequest, Conflict, DatabaseRefused, NotFound
from gateway.prompts import shown
from gateway.prompts.changes import Pointing, Standing, Transaction
from gateway.prompts.document import MAX_BYTES, PromptDocument, Shadow
from gateway.prompts.rows import Rows
from gateway.prompts.version import Arm
from gateway.sql import Database

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_PROMPTS = 10_000
MOST_VERSIONS = 1_000
"""Of one prompt."""
MOST_BYTES = 64 << 20
"""Of all documents of prompts that are not archived: every process holds them in memory."""
MOST_LISTED = 1000
MOST_ARMS = 10
MOST_WEIGHT = 1_000_000
NEWEST = "newest"
"""In the place of a version's number."""
_IDS_BEGIN = "pmpt_"
_TRIES = 20
"""Where others change prompts at the same moment; each time one of them gets through."""
_MOST_STEPS = 1000
"""Back to before an experiment whose weights were moved so often."""
_FROM_THE_LAST = 1 << 62


class PromptStore:
    """Every method returns JSON, and raises BadRequest, NotFound, Conflict, or DatabaseUnavailable.

    A change that raises DatabaseUnavailable may or may not have happened. All can be repeated safely, a rollback
    where it says what it expects.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._rows = Rows(database)
        self._clock = clock

    # ------------------------------------------------------------------ changes

    async def push(
        self, document: PromptDocument, *, author: str, id_: str | None = None, label: str | None = None
    ) -> dict[str, Any]:
        """`document` as the newest version, unless it is that already; and `label` pointed at it.

        `id_` is that of a prompt which had one elsewhere; without it a new prompt gets one.
        """
        _check_document(document)

        async def change(transaction: Transaction) -> dict[str, Any]:
            of = await self._rows.find(document.name) or await self._new(document.name, id_)
            _check_live(of)
            _check_id(of, id_)
            is_new = of.digest != document.digest
            if is_new:
                await self._check_room(of, document)
                of = transaction.push(of, document)
            if label is not None:
                of = transaction.point(of, label, (Arm(of.newest, 1),))
            return shown.pushed(of, is_new=is_new)

        return await self._change(author, change)

    async def activate(self, name: str, label: str, version: int, *, author: str) -> dict[str, Any]:
        """Point `label` at one version. Ends an experiment there was."""
        return await self._point(name, label, {version: 1}, None, author)

    async def split(
        self, name: str, label: str, weights: Mapping[int, int], sticky_by: str, *, author: str
    ) -> dict[str, Any]:
        """Share out `label`'s requests among versions: each `user` or `conversation` stays with its version."""
        if not 2 <= len(weights) <= MOST_ARMS:
            raise BadRequest(f"A split has from 2 to {MOST_ARMS} versions, not {len(weights)}.", param="versions")
        return await self._point(name, label, weights, sticky_by, author)

    async def _point(
        self, name: str, label: str, weights: Mapping[int, int], sticky_by: str | None, author: str
    ) -> dict[str, Any]:
        if not all(1 <= weight <= MOST_WEIGHT for weight in weights.values()):
            raise BadRequest(f"A weight is a whole number from 1 to {MOST_WEIGHT:,}.", param="versions")

        async def change(transaction: Transaction) -> dict[str, Any]:
            of = _check_live(await self._rows.get(name))
            for number in weights:
                _check_version(of, number)
            arms = tuple(Arm(number, weight) for number, weight in sorted(weights.items()))
            return shown.label(transaction.point(of, label, arms, sticky_by), label)

        return await self._change(author, change)

    async def rollback(self, name: str, label: str, *, author: str, expected: int | None = None) -> dict[str, Any]:
        """Point `label` where it pointed before. Conflict where it does not point at the version `expected` (alone)."""

        async def before(of: Standing, now: Pointing) -> Pointing:
            if expected is not None and (now.is_split or now.arms[0].number != expected):
                raise Conflict(f"'{label}' of '{of.name}' is not {expected} but {shown.told(now)}: somebody moved it.")
            found = await self._rows.before(now)
            if found is None:
                raise Conflict(f"'{label}' of '{of.name}' has been {shown.told(now)} from the first.")
            return found

        return await self._back(name, label, "rollback", before, author)

    async def stop(self, name: str, label: str, *, author: str) -> dict[str, Any]:
        """End the experiment of `label`: it is what it was before. (With another version it ends by `activate`.)"""

        async def before(of: Standing, now: Pointing) -> Pointing:
            if not now.is_split:
                raise Conflict(f"There is no split of '{label}' of '{of.name}': it is {shown.told(now)}.")
            for _ in range(_MOST_STEPS):
                found = await self._rows.before(now)
                if found is None:
                    break
                if not found.is_split:
                    return found
                now = found
            raise Conflict(f"'{label}' of '{of.name}' was nothing before: activate the version that is to stay.")

        return await self._back(name, label, "stop", before, author)

    async def _back(
        self,
        name: str,
        label: str,
        action: str,
        where: Callable[[Standing, Pointing], Awaitable[Pointing]],
        author: str,
    ) -> dict[str, Any]:
        async def change(transaction: Transaction) -> dict[str, Any]:
            of = _check_live(await self._rows.get(name))
            now = of.labels.get(label)
            if now is None:
                raise NotFound(f"'{of.name}' has no label '{label}'; it has: {', '.join(of.labels) or 'none'}.")
            return shown.label(transaction.back(of, label, await where(of, now), action), label)

        return await self._change(author, change)

    async def shadow(self, name: str, shadow: Shadow | None, *, author: str) -> dict[str, Any]:
        """Have a version answered beside the one that callers get; None stops it."""

        async def change(transaction: Transaction) -> dict[str, Any]:
            of = _check_live(await self._rows.get(name))
            if shadow is not None:
                _check_version(of, shadow.version)
            return shown.prompt(transaction.shadow(of, shadow))

        return await self._change(author, change)

    async def archive(self, name: str, *, author: str) -> dict[str, Any]:
        """Serve it no longer: callers get a 404. Nothing of it is deleted."""

        async def change(transaction: Transaction) -> dict[str, Any]:
            return shown.prompt(transaction.archive(await self._rows.get(name)))

        return await self._change(author, change)

    async def restore(self, name: str, *, author: str) -> dict[str, Any]:
        """Serve it again, with the labels that it had."""

        async def change(transaction: Transaction) -> dict[str, Any]:
            of = await self._rows.get(name)
            if of.archived_ms is not None:
                await self._check_sum(of.bytes, is_new=True)
            return shown.prompt(transaction.restore(of))

        return await self._change(author, change)

    # ------------------------------------------------------------------ what there is

    async def several(self, *, after: str, limit: int) -> list[dict[str, Any]]:
        """At most `limit` prompts in the order of their names, from the first after `after` on."""
        return [shown.prompt(each) for each in await self._rows.several(after, min(limit, MOST_LISTED))]

    async def show(self, name: str) -> dict[str, Any]:
        return shown.prompt(await self._rows.get(name))

    async def versions(self, name: str) -> list[dict[str, Any]]:
        """All of them in their order, without what they say."""
        found = await self._rows.get(name)
        return [shown.version(*row) for row in await self._rows.versions(found.id)]

    async def version(self, name: str, which: str) -> dict[str, Any]:
        """One with its document. `which` is a number, a label that is one version, or `newest`."""
        found = await self._rows.get(name)
        number = _numbered(found, which)
        _check_version(found, number)
        row = await self._rows.document(found.id, number)
        assert row is not None, "versions are numbered without gaps and never deleted"
        return {"name": found.name, "id": found.id, **shown.version(*row[:4]), "document": shown.parsed(row[4])}

    async def audit(self, name: str | None, *, before: int | None, limit: int) -> list[dict[str, Any]]:
        """Changes of one prompt, or of all, the last first; from the one before the number `before` on."""
        id_ = None if name is None else (await self._rows.get(name)).id
        seq = _FROM_THE_LAST if before is None else before
        return [shown.change(*row) for row in await self._rows.audit(id_, seq, min(limit, MOST_LISTED))]

    # ------------------------------------------------------------------ one change

    async def _change(self, author: str, make: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `make` returns for a transaction that could be written: it is made anew as often as somebody else
        changed something since the state was read that it was made of."""
        for _ in range(_TRIES):
            transaction = Transaction(await self._rows.seq(), round(self._clock.wall() * 1000), author)
            answer = await make(transaction)
            batches = transaction.batches()
            if not batches:
                return answer
            try:
                await self._database.write(*batches)
            except DatabaseRefused:
                continue
            log.info("prompts: %s, by '%s'", ", ".join(transaction.told), author)
            return answer
        raise Conflict("Others are changing prompts at the same time: try again.")

    async def _new(self, name: str, id_: str | None) -> Standing:
        if id_ is not None and (other := await self._rows.find(id_)) is not None:
            raise Conflict(f"The id '{id_}' is that of the prompt '{other.name}'.")
        new_id = id_ or _IDS_BEGIN + secrets.token_hex(24)
        return Standing(new_id, name, 0, 0, 0, None, None, labels={}, shadow=None)

    async def _check_room(self, of: Standing, document: PromptDocument) -> None:
        if of.newest >= MOST_VERSIONS:
            raise Conflict(f"'{of.name}' has {of.newest:,} versions, and a prompt may have no more.")
        await self._check_sum(len(document.as_json()), is_new=of.newest == 0)

    async def _check_sum(self, size: int, *, is_new: bool) -> None:
        prompts, bytes_ = await self._rows.in_all()
        if is_new and prompts >= MOST_PROMPTS:
            raise Conflict(f"There are {prompts:,} prompts, and there may be no more: archive some.")
        if bytes_ + size > MOST_BYTES:
            raise Conflict(
                f"All versions together may have {MOST_BYTES >> 20} MB, and this would be more: archive some."
            )


# ------------------------------------------------------------------ what may not be


def _check_document(document: PromptDocument) -> None:
    if document.name.startswith(_IDS_BEGIN):
        raise BadRequest(f"'{document.name}' reads like an id: choose a name that does not begin so.", param="name")
    try:
        size = len(document.as_json())
    except TypeError as error:  # an integer of more than 64 bits, or nesting without an end
        raise BadRequest(f"The prompt cannot be kept: {error}.", param="document") from None
    if size > MAX_BYTES:
        raise BadRequest(f"The prompt has {size:,} bytes; a version may have {MAX_BYTES:,}.", param="document")


def _check_id(of: Standing, id_: str | None) -> None:
    if id_ is not None and of.id != id_:
        raise Conflict(f"The prompt '{of.name}' has another id, '{of.id}': leave the id out, or choose another name.")


def _check_live(of: Standing) -> Standing:
    if of.archived_ms is not None:
        raise Conflict(f"The prompt '{of.name}' is archived. Restore it first.")
    return of


def _check_version(of: Standing, number: int) -> None:
    if not 1 <= number <= of.newest:
        raise NotFound(f"'{of.name}' has no version {number}; its newest is {of.newest}.")


def _numbered(of: Standing, which: str) -> int:
    """The number that `which` stands for; not looked at whether there is such a version."""
    if which == NEWEST:
        return of.newest
    if which.isascii() and which.isdigit() and len(which) <= 9:
        return int(which)
    at = of.labels.get(which)
    if at is None:
        there = ", ".join(of.labels) or "none"
        raise NotFound(f"'{of.name}' has no label '{which}'; it has: {there}. Name a number, a label or '{NEWEST}'.")
    if at.is_split:
        raise Conflict(f"'{which}' of '{of.name}' is {shown.told(at)}: name one of these versions.")
    return at.arms[0].number
