"""What the ledger knows of each version of a prompt: served answers, and those of shadow calls beside them.

Over the bare driver, for the admin port as for `gateway prompts compare`. The database adds up; sums of squares are
enough for every interval.
"""

from collections.abc import Iterable
from typing import Any

from gateway.accounting.confidence import Sample, Share
from gateway.sql import Database
from gateway.value import value
from gateway.wire.endings import Ending, ending_of

_READ_S = 30.0
"""One query over a month of a laptop's requests takes a second."""

_ANSWERED = "is_success AND (cache IS NULL OR cache IN ('miss', 'bypass'))"
"""An upstream's whole answer: hits say nothing of how long or how dear a version is."""
_PAID = "cache IS NULL OR cache IN ('miss', 'bypass')"


def _sums(column: str, condition: str) -> str:
    number = f"CAST({column} AS DOUBLE PRECISION)"  # squares of integers would not fit an integer
    case = "CASE WHEN {0} AND {1} IS NOT NULL THEN {2} END"
    return ", ".join(
        (
            f"COUNT({case.format(condition, column, '1')})",
            f"COALESCE(SUM({case.format(condition, column, number)}), 0)",
            f"COALESCE(SUM({case.format(condition, column, f'{number} * {number}')}), 0)",
        )
    )


_MINE = "FROM ledger WHERE prompt = $1 AND at_ms >= $2 AND at_ms < $3 AND prompt_version IS NOT NULL"
# Fragments of ours alone.
_FIGURES = (
    "SELECT prompt_version, CASE WHEN endpoint = 'shadow' THEN 1 ELSE 0 END, COUNT(*),"
    " SUM(CASE WHEN cache IN ('hit', 'coalesced', 'stale') THEN 1 ELSE 0 END),"
    " SUM(CASE WHEN rejected IS NULL THEN 0 ELSE 1 END),"
    " SUM(CASE WHEN rejected IS NULL AND status = 499 THEN 1 ELSE 0 END),"
    " SUM(CASE WHEN rejected IS NULL AND status <> 499 AND NOT is_success THEN 1 ELSE 0 END),"
    f" COALESCE(SUM(CASE WHEN {_PAID} THEN input_tokens END), 0),"
    f" COALESCE(SUM(CASE WHEN {_PAID} THEN output_tokens END), 0),"
    " COALESCE(SUM(cost_nanousd), 0), SUM(CASE WHEN price_unknown THEN 1 ELSE 0 END),"
    f" {_sums('input_tokens', _ANSWERED)}, {_sums('output_tokens', _ANSWERED)},"
    f" {_sums('cost_nanousd', _ANSWERED)}, {_sums('duration_us', _ANSWERED)} {_MINE} GROUP BY 1, 2"
)
_ENDINGS = (
    "SELECT prompt_version, CASE WHEN endpoint = 'shadow' THEN 1 ELSE 0 END, finish_reason, COUNT(*)"
    f" {_MINE} AND {_ANSWERED} GROUP BY 1, 2, 3"
)
_OPINIONS = (
    "SELECT prompt_version, SUM(CASE WHEN score > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN score < 0 THEN 1 ELSE 0 END),"
    " SUM(CASE WHEN score = 0 THEN 1 ELSE 0 END) FROM prompt_feedback"
    " WHERE prompt = $1 AND answered_ms >= $2 AND answered_ms < $3 GROUP BY 1"
)


@value
class Figures:
    """Of one version in some time; money in nano-dollars, tokens those that were paid for, times in microseconds."""

    version: int
    is_shadow: bool
    """Of calls beside others' answers, which no client has seen."""
    requests: int = 0
    hits: int = 0
    """Answered from the cache, fresh or not, or by another's call under way."""
    refused: int = 0
    """By the gateway itself."""
    left: int = 0
    """The client did, before its answer was whole."""
    failed: int = 0
    """Errors of the upstream, its 4xx among them, or of the gateway."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    unpriced: int = 0
    """Calls that cost something nobody knows."""
    input_sample: Sample = Sample(0, 0, 0)
    """This and the next three are of whole answers that an upstream gave: one number for each."""
    output_sample: Sample = Sample(0, 0, 0)
    cost_sample: Sample = Sample(0, 0, 0)
    duration_sample: Sample = Sample(0, 0, 0)
    endings: tuple[tuple[Ending, int], ...] = ()
    up: int = 0
    down: int = 0
    neutral: int = 0

    @property
    def answers(self) -> int:
        """Whole ones that an upstream gave."""
        return self.duration_sample.count

    @property
    def failures(self) -> Share:
        return Share(self.failed, self.failed + self.answers)

    @property
    def dislikes(self) -> Share:
        """Of opinions that are for or against."""
        return Share(self.down, self.up + self.down)

    def ended(self, ending: Ending) -> Share:
        return Share(dict(self.endings).get(ending, 0), self.answers)


async def figures_of(database: Database, prompt: str, *, since_ms: int, until_ms: int) -> list[Figures]:
    """Every version that was asked for then, the lowest first, then its shadow calls. Raises DatabaseUnavailable."""
    asked = (prompt, since_ms, until_ms)
    rows = await database.fetch(_FIGURES, *asked, timeout_s=_READ_S)
    endings = _endings(await database.fetch(_ENDINGS, *asked, timeout_s=_READ_S))
    opinions = {int(row[0]): row[1:] for row in await database.fetch(_OPINIONS, *asked, timeout_s=_READ_S)}
    found = [_figures(row, endings, opinions.get(int(row[0]), (0, 0, 0))) for row in rows]
    return sorted(found, key=lambda each: (each.version, each.is_shadow))


def _figures(row: tuple[Any, ...], endings: dict[tuple[int, bool], dict[Ending, int]], said: Iterable[Any]) -> Figures:
    version, is_shadow = int(row[0]), bool(row[1])
    requests, hits, refused, left, failed, tokens_in, tokens_out, nanousd, unpriced = map(int, row[2:11])
    samples = [Sample(int(row[at]), float(row[at + 1]), float(row[at + 2])) for at in range(11, len(row), 3)]
    up, down, neutral = (0, 0, 0) if is_shadow else map(int, said)
    return Figures(
        version=version,
        is_shadow=is_shadow,
        requests=requests,
        hits=hits,
        refused=refused,
        left=left,
        failed=failed,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_nanousd=nanousd,
        unpriced=unpriced,
        input_sample=samples[0],
        output_sample=samples[1],
        cost_sample=samples[2],
        duration_sample=samples[3],
        endings=tuple(sorted(endings.get((version, is_shadow), {}).items())),
        up=up,
        down=down,
        neutral=neutral,
    )


def _endings(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[int, bool], dict[Ending, int]]:
    found: dict[tuple[int, bool], dict[Ending, int]] = {}
    for version, is_shadow, reason, count in rows:
        of_version = found.setdefault((int(version), bool(is_shadow)), {})
        ending = ending_of(reason)
        of_version[ending] = of_version.get(ending, 0) + int(count)
    return found
