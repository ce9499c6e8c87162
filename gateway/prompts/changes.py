"""What a change of a prompt writes: how it stands → the rows of one transaction.

Every change has its row in `prompt_audit`, and that row's number is the next of the counter that processes look at.
So of two changes that were made of the same state one is refused for a number that is taken: nothing is lost, and
no lock is held while somebody thinks.

A label remembers which change made it point where it does (`since`), and that change what was there before. Rolling
back follows this chain like an editor's undo: 1 → 2 → 3, back, back is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway.prompts.document import PromptDocument, Shadow
from gateway.prompts.version import Arm
from gateway.sql import Batch
from gateway.value import value

_COUNT_UP = "UPDATE prompts_version SET version = version + $1 WHERE id = 1"
"""First in every transaction: it makes others wait, so that changes become visible in the order of their numbers."""
_AUDIT = (
    "INSERT INTO prompt_audit (seq, at_ms, prompt_id, author, action, label, before, after)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)
_NEW = "INSERT INTO prompts (id, name, newest, bytes, created_ms, changed) VALUES ($1, $2, $3, $4, $5, $6)"
_GROW = "UPDATE prompts SET newest = $2, bytes = $3, changed = $4 WHERE id = $1"
_TOUCH = "UPDATE prompts SET changed = $2 WHERE id = $1"
_ARCHIVE = "UPDATE prompts SET archived_ms = $2, changed = $3 WHERE id = $1"
_NUMBER = (
    "INSERT INTO prompt_versions (prompt_id, number, digest, author, created_ms, changed, document)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)"
)
_POINT = (
    "INSERT INTO prompt_labels (prompt_id, label, arms, sticky_by, since, changed) VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT (prompt_id, label) DO UPDATE"
    " SET arms = excluded.arms, sticky_by = excluded.sticky_by, since = excluded.since, changed = excluded.changed"
)
_SHADOW = (
    "INSERT INTO prompt_shadow (prompt_id, shadow, changed) VALUES ($1, $2, $3)"
    " ON CONFLICT (prompt_id) DO UPDATE SET shadow = excluded.shadow, changed = excluded.changed"
)
_READ_AGAIN = (
    "UPDATE prompt_versions SET changed = $2 WHERE prompt_id = $1",
    "UPDATE prompt_labels SET changed = $2 WHERE prompt_id = $1",
    "UPDATE prompt_shadow SET changed = $2 WHERE prompt_id = $1",
)
"""After a time in the archive, of which serving processes kept nothing."""


@value
class Pointing:
    """Where a label points."""

    arms: tuple[Arm, ...]
    sticky_by: str | None
    since: int
    """Number of the change that first made it so."""

    @property
    def is_split(self) -> bool:
        return len(self.arms) > 1

    def does_as(self, other: "Pointing | None") -> bool:
        return other is not None and (self.arms, self.sticky_by) == (other.arms, other.sticky_by)

    def as_json(self) -> str:
        fields = {"arms": arms_json(self.arms), "sticky_by": self.sticky_by, "since": self.since}
        return orjson.dumps(fields).decode()


def pointing(text: str) -> Pointing:
    """What `as_json` wrote."""
    fields = orjson.loads(text)
    return Pointing(arms_of(fields["arms"]), fields["sticky_by"], fields["since"])


def arms_json(arms: Sequence[Arm]) -> list[tuple[int, int]]:
    return [(arm.number, arm.weight) for arm in arms]


def arms_of(pairs: Sequence[Sequence[int]]) -> tuple[Arm, ...]:
    return tuple(Arm(number, weight) for number, weight in pairs)


@dataclass(frozen=True, slots=True)
class Standing:
    """A prompt as it is before a change."""

    id: str
    name: str
    newest: int
    """0 before there is a version."""
    bytes: int
    created_ms: int
    archived_ms: int | None
    digest: str | None
    """Of its newest version, where that was read."""
    labels: dict[str, Pointing]
    shadow: Shadow | None


class Transaction:
    """The rows of changes that happen together, made at `at_ms` by `author`, of the state that `seq` numbers."""

    def __init__(self, seq: int, at_ms: int, author: str) -> None:
        self._first = self._seq = seq
        self._at_ms = at_ms
        self._author = author
        self._rows: list[Batch] = []
        self.told: list[str] = []
        """What happens in it, for the log."""

    def batches(self) -> list[Batch]:
        """To be written; empty where nothing changes."""
        return [(_COUNT_UP, [(self._seq - self._first,)]), *self._rows] if self._rows else []

    # ------------------------------------------------------------------ changes

    def push(self, of: Standing, document: PromptDocument) -> Standing:
        """A new version, and for the first one the prompt itself."""
        text, number = document.as_json().decode(), of.newest + 1
        size = of.bytes + len(text.encode())
        seq = self._audited(of, "push", after={"version": number, "digest": document.digest})
        if of.newest == 0:
            self._rows.append((_NEW, [(of.id, of.name, number, size, self._at_ms, seq)]))
        else:
            self._rows.append((_GROW, [(of.id, number, size, seq)]))
        self._rows.append(
            (_NUMBER, [(of.id, number, document.digest, self._author, self._at_ms, seq, text)]),
        )
        return replace(of, newest=number, digest=document.digest, bytes=size)

    def point(self, of: Standing, label: str, arms: tuple[Arm, ...], sticky_by: str | None = None) -> Standing:
        """A label to one version, or to several by weight; nothing where it points so already."""
        before = of.labels.get(label)
        after = Pointing(arms, sticky_by, self._seq + 1)
        if after.does_as(before):
            return of
        return self._pointed(of, "split" if after.is_split else "activate", label, after)

    def back(self, of: Standing, label: str, to: Pointing, action: str) -> Standing:
        """A label to where it pointed before."""
        return self._pointed(of, action, label, to)

    def shadow(self, of: Standing, shadow: Shadow | None) -> Standing:
        if shadow == of.shadow:
            return of
        before, after = (None if one is None else one.model_dump() for one in (of.shadow, shadow))
        seq = self._audited(of, "shadow", before=before, after=after)
        self._rows.append((_SHADOW, [(of.id, None if after is None else _text(after), seq)]))
        self._rows.append((_TOUCH, [(of.id, seq)]))
        return replace(of, shadow=shadow)

    def archive(self, of: Standing) -> Standing:
        if of.archived_ms is not None:
            return of
        seq = self._audited(of, "archive")
        self._rows.append((_ARCHIVE, [(of.id, self._at_ms, seq)]))
        return replace(of, archived_ms=self._at_ms)

    def restore(self, of: Standing) -> Standing:
        if of.archived_ms is None:
            return of
        seq = self._audited(of, "restore")
        self._rows.append((_ARCHIVE, [(of.id, None, seq)]))
        self._rows += [(statement, [(of.id, seq)]) for statement in _READ_AGAIN]
        return replace(of, archived_ms=None)

    # ------------------------------------------------------------------ rows

    def _pointed(self, of: Standing, action: str, label: str, after: Pointing) -> Standing:
        before = of.labels.get(label)
        seq = self._audited(of, action, label, before, after)
        row = (of.id, label, _text(arms_json(after.arms)), after.sticky_by, after.since, seq)
        self._rows.append((_POINT, [row]))
        self._rows.append((_TOUCH, [(of.id, seq)]))
        return replace(of, labels={**of.labels, label: after})

    def _audited(
        self, of: Standing, action: str, label: str | None = None, before: object = None, after: object = None
    ) -> int:
        self._seq += 1
        self.told.append(f"{action} {of.name}" + (f" {label}" if label else ""))
        stood, stands = _text(before), _text(after)
        self._rows.append((_AUDIT, [(self._seq, self._at_ms, of.id, self._author, action, label, stood, stands)]))
        return self._seq


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.as_json() if isinstance(value, Pointing) else orjson.dumps(value).decode()
