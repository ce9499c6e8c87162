"""What a gateway has learned from its own traffic, read from the ledger's database as rows to train and to measure on.

A compared request has the outcomes of both tiers. One of the exploration slice has an opinion on one tier's answer; the
other tier is taken to have done as well as it did on average in that slice, which is fair since a coin chose. Every
fifth question is held out, the same ones always and with all repeats, for the promotion of what the others trained.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import ConfigError, DatabaseError
from gateway.routing.offline.dataset import Dataset, Row
from gateway.routing.samples import from_json
from gateway.sql import Database

HELD_OUT_OF = 5

_ROWS = (
    "SELECT s.request_id, s.route, s.tier, s.features, s.text, o.weak, o.strong, s.propensity, f.score"
    " FROM router_samples s LEFT JOIN router_outcomes o ON o.request_id = s.request_id"
    " LEFT JOIN router_feedback f ON f.request_id = s.request_id AND f.key_name = s.key_name"
    " WHERE (o.weak IS NOT NULL OR (f.score IS NOT NULL AND s.propensity IS NOT NULL))"
    " ORDER BY s.at_ms, s.request_id"
)


@dataclass(frozen=True, slots=True)
class _Found:
    row: Row
    opinion: tuple[str, float] | None
    """Tier and score, 0 to 1, where only that is known."""


async def read(url: str, *, route: str | None, held_out: bool) -> Dataset:
    """The labels of `route`, or of all routes; those that are held out, or the others.

    Raises ConfigError where the database cannot be read.
    """
    try:
        async with Database(url) as database:
            found = await database.fetch(_ROWS, timeout_s=60)
    except DatabaseError as exc:
        raise ConfigError([f"the labels cannot be read: {exc}"]) from exc
    rows = [_found(*fields) for fields in found if route in (None, fields[1])]
    completed = _complete(rows)
    chosen = tuple(row for row in completed if _is_held_out(row) == held_out)
    digest = hashlib.sha256()
    for row in chosen:
        digest.update(f"{row.id}\0{row.weak}\0{row.strong}\n".encode())
    return Dataset(chosen, digest.hexdigest())


def _found(
    request_id: str,
    route: str,
    tier: str,
    features: str,
    text: str | None,
    weak: float | None,
    strong: float | None,
    propensity: float | None,
    score: float | None,
) -> _Found:
    seen, kind = from_json(features, request_id)
    words = " ".join(sorted(word.decode() for word in seen.words if not word.startswith(b"\0")))
    outcome = (weak, strong) if weak is not None and strong is not None else None
    row = Row(
        id=request_id,
        source=f"route {route}",
        subset=kind,
        text=text or words,
        weak=outcome[0] if outcome else 0.0,
        strong=outcome[1] if outcome else 0.0,
        features=None if text else seen,
    )
    opinion = None if outcome or score is None else (tier, (score + 1) / 2)
    return _Found(row, opinion)


def _complete(found: Sequence[_Found]) -> list[Row]:
    means = {
        tier: sum(scores) / len(scores)
        for tier in ("cheap", "expensive")
        if (scores := [each.opinion[1] for each in found if each.opinion and each.opinion[0] == tier])
    }
    rows = []
    for each in found:
        if each.opinion is None:
            rows.append(each.row)
        elif len(means) == 2:  # else there is nothing to compare with
            tier, score = each.opinion
            weak, strong = (score, means["expensive"]) if tier == "cheap" else (means["cheap"], score)
            rows.append(
                Row(each.row.id, each.row.source, each.row.subset, each.row.text, weak, strong, each.row.features)
            )
    return rows


def _is_held_out(row: Row) -> bool:
    return zlib.crc32(row.text.lower().encode(errors="replace")) % HELD_OUT_OF == 0
