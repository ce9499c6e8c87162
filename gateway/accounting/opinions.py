"""What clients think of answers that a registered prompt led to, tied to the version that answered.

Feedback names a request, and the request's row in the ledger says which version it was made from, whichever process
served it. That row is written up to a second after the answer, so an opinion is looked up a little later, and again if
there is nothing yet. No request waits for any of it; what finds no row of the same key's is forgotten, so that nobody
judges another's answers or fills the table.
"""

import asyncio
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from gateway.clock import Clock
from gateway.errors import DatabaseError
from gateway.sql import Database
from gateway.value import value

log = logging.getLogger(__name__)

QUEUED = 2_000
"""Opinions that wait; more are dropped and counted."""
OF_A_KEY = QUEUED // 2
"""Of these from any one key: whoever makes up ids by the thousand loses nobody else's."""
LOOKS_S = (1.0, 5.0, 30.0)
"""How long after it came, and after each look that found nothing, an opinion is looked up."""
CLOSE_S = 5.0
_LAST_WAIT_S = 0.7
"""How long a stopping process lets the ledger write before the last look."""

_ANSWER = (
    "SELECT l.at_ms, l.prompt, l.prompt_version, f.score FROM ledger l"
    " LEFT JOIN prompt_feedback f ON f.request_id = l.request_id AND f.key_name = l.key_name"
    " WHERE l.request_id = $1 AND l.key_name = $2 AND l.prompt IS NOT NULL AND l.prompt_version IS NOT NULL"
    " ORDER BY l.at_ms DESC LIMIT 1"
)
_KEEP = (
    "INSERT INTO prompt_feedback"
    " (request_id, key_name, at_ms, answered_ms, prompt, prompt_version, score, comment)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    " ON CONFLICT (request_id, key_name) DO UPDATE SET at_ms = excluded.at_ms, score = excluded.score,"
    " comment = excluded.comment"
)

Tell = Callable[[str, int, float], None]
"""Prompt, version, score: of every answer that is judged for the first time."""


@value
class _Opinion:
    request_id: str
    key_name: str
    at_ms: int
    score: float
    comment: str | None


class Opinions:
    """An async context manager. The last word on an answer counts."""

    def __init__(self, database: Database, clock: Clock, tell: Tell, *, looks_s: tuple[float, ...] = LOOKS_S) -> None:
        self._database = database
        self._clock = clock
        self._tell = tell
        self._looks_s = looks_s
        self._waiting: list[tuple[float, int, int, _Opinion]] = []
        """A heap: when it is due (monotonic), a running number, how often it was looked up, what it is."""
        self._of_key: Counter[str] = Counter()
        """How many are not done with."""
        self._numbers = itertools.count()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="feedback on prompts")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._closing.set()
        self._wake.set()
        await asyncio.wait([self._task], timeout=CLOSE_S)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def take(self, request_id: str, key_name: str, score: float, comment: str | None) -> None:
        """Queue what a client says of an answer, -1 to 1; never waits, never raises."""
        if len(self._waiting) >= QUEUED or self._of_key[key_name] >= OF_A_KEY:
            self.dropped += 1
            return
        self._of_key[key_name] += 1
        self._put(0, _Opinion(request_id, key_name, int(self._clock.wall() * 1000), score, comment))
        self._wake.set()

    def _put(self, looks: int, opinion: _Opinion) -> None:
        due = self._clock.monotonic() + self._looks_s[looks]
        heapq.heappush(self._waiting, (due, next(self._numbers), looks, opinion))

    # ------------------------------------------------------------------ looking up

    async def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_s()):
                    await self._wake.wait()
            await self._look(self._due())
        await self._look(self._due(until=float("inf")))
        if self._waiting:
            await asyncio.sleep(_LAST_WAIT_S)
            await self._look(self._due(until=float("inf")))

    def _next_s(self) -> float | None:
        return max(0.0, self._waiting[0][0] - self._clock.monotonic()) if self._waiting else None

    def _due(self, *, until: float | None = None) -> list[tuple[int, _Opinion]]:
        """Taken off the heap."""
        until = self._clock.monotonic() if until is None else until
        due = []
        while self._waiting and self._waiting[0][0] <= until:
            _, _, looks, opinion = heapq.heappop(self._waiting)
            due.append((looks, opinion))
        return due

    async def _look(self, due: list[tuple[int, _Opinion]]) -> None:
        for looks, opinion in due:
            is_last = looks + 1 == len(self._looks_s)
            is_kept = False
            try:
                is_kept = await self._keep(opinion)
            except DatabaseError as error:
                log.warning("feedback on prompts: not written for now: %s", error)
                self.dropped += is_last
            except Exception:  # this task must go on
                log.exception("feedback on prompts: not written")
                self.dropped += is_last
            if is_kept or is_last:
                self._forget(opinion)
            else:
                self._put(looks + 1, opinion)

    def _forget(self, opinion: _Opinion) -> None:
        self._of_key[opinion.key_name] -= 1
        if not self._of_key[opinion.key_name]:
            del self._of_key[opinion.key_name]

    async def _keep(self, opinion: _Opinion) -> bool:
        """Whether the answer that is judged was found."""
        rows = await self._database.fetch(_ANSWER, opinion.request_id, opinion.key_name)
        if not rows:
            return False
        answered_ms, prompt, version, score_before = rows[0]
        who = (opinion.request_id, opinion.key_name, opinion.at_ms)
        what = (answered_ms, prompt, version, opinion.score, opinion.comment)
        await self._database.write((_KEEP, [(*who, *what)]))
        if score_before is None:
            self._tell(prompt, version, opinion.score)
        return True
