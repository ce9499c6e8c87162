"""Prompts as operators see them: JSON of the admin API."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.prompts.changes import Pointing, Standing
from gateway.prompts.version import Arm


def prompt(of: Standing) -> dict[str, Any]:
    return {
        "name": of.name,
        "id": of.id,
        "newest": of.newest,
        "labels": {label: _pointing(at) for label, at in of.labels.items()},
        "shadow": None if of.shadow is None else of.shadow.model_dump(),
        "created_at": _time(of.created_ms),
        "archived_at": _time(of.archived_ms),
    }


def pushed(of: Standing, *, is_new: bool) -> dict[str, Any]:
    labels = {label: _pointing(at) for label, at in of.labels.items()}
    status = "created" if is_new else "unchanged"
    return {"name": of.name, "id": of.id, "version": of.newest, "status": status, "labels": labels}


def label(of: Standing, name: str) -> dict[str, Any]:
    return {"name": of.name, "id": of.id, "label": name, **_pointing(of.labels[name])}


def version(number: int, digest: str, author: str, created_ms: int) -> dict[str, Any]:
    return {"version": number, "digest": digest, "author": author, "created_at": _time(created_ms)}


def change(
    seq: int,
    at_ms: int,
    name: str,
    id_: str,
    author: str,
    action: str,
    label: str | None,
    before: str | None,
    after: str | None,
) -> dict[str, Any]:
    stood, stands = (_stood(text) if text is not None else None for text in (before, after))
    at = _time(at_ms)
    names = {"name": name, "id": id_, "author": author, "action": action, "label": label}
    return {"seq": seq, "at": at, **names, "before": stood, "after": stands}


def parsed(text: str) -> Any:
    return orjson.loads(text)


def told(at: Pointing) -> str:
    """As a sentence has it: `version 3`, or `split into 3 (90%) and 4 (10%)`."""
    if not at.is_split:
        return f"version {at.arms[0].number}"
    whole = sum(arm.weight for arm in at.arms)
    parts = [f"{arm.number} ({100 * arm.weight / whole:.3g}%)" for arm in at.arms]
    return "split into " + " and ".join(parts)


def _pointing(at: Pointing) -> dict[str, Any]:
    return {"versions": _arms(at.arms), "sticky_by": at.sticky_by}


def _arms(arms: Sequence[Arm]) -> list[dict[str, int]]:
    return [{"version": arm.number, "weight": arm.weight} for arm in arms]


def _stood(text: str) -> dict[str, Any]:
    """A label's place without the number that leads to the one before, or whatever else was there."""
    fields: dict[str, Any] = orjson.loads(text)
    if "arms" not in fields:
        return fields
    arms = [{"version": number, "weight": weight} for number, weight in fields["arms"]]
    return {"versions": arms, "sticky_by": fields["sticky_by"]}


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
