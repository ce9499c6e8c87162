"""Looks for waste in the prompts that are served, beside serving them.

answered request ── offer ── the latest of each route waits ── looked through, then a pause ── report
                             the others are only counted

Looking takes from 0.1 ms to some 20, so it is done after the answer, in a thread where the prompt is
large, and after each look there is a pause: all of it takes `SHARE` of a core and no more. At a few requests
a second that is every request. Of more, the latest stands for those that have come for its route since the
last look; so whatever route has changed, its newest prompt is always among what is looked through next.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple

from gateway.record import Record
from gateway.tokens.count import TokenCounter
from gateway.tokens.memo import Memo
from gateway.tokens.prefix import Prefixes
from gateway.tokens.waste import Count, Fragment, Text, blanks, cost_of, outside, repeats, texts_of
from gateway.value import value
from gateway.values import Request, Target

SHARE = 0.02
"""Of one core, at most."""

LOOK_CHARS = 32_768
"""As much of each prompt is looked through, from its beginning: single steps over it hold the GIL for 2 to 5 ms."""

AT_ONCE_BYTES = 4_096
"""A body of this size is looked through in half a millisecond; larger ones leave the event loop."""

log = logging.getLogger(__name__)


@value
class Wasted:
    """What a route's requests wasted: tokens that could have been left out, by kind."""

    route: str
    target: Target
    """The one that answered, whose prices hold."""
    tokens: Mapping[str, int]


class _Waiting(NamedTuple):
    request: Request
    target: Target
    cached_input: int
    times: int = 1
    """Requests that it stands for."""


class WasteWatch:
    """One serves a gateway, as `async with`; `report` is called on the event loop with what was found."""

    def __init__(self, counter: TokenCounter, report: Callable[[Wasted], None], *, share: float = SHARE) -> None:
        self._counter = counter
        self._report = report
        self._pause = 1 / share - 1
        self._waiting: dict[str, _Waiting] = {}
        self._known: Memo[dict[str, int]] = Memo()
        self._prefixes: dict[str, Prefixes] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "WasteWatch":
        self._task = asyncio.create_task(self._run(), name="look for waste")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def offer(self, record: Record, request: Request) -> None:
        """Have a request looked through, as it was sent, if it was answered and paid for. Takes 1 µs."""
        route, target, usage = record.route, record.target, record.usage
        if route is None or target is None or usage is None:
            return
        waiting = self._waiting.get(route)
        times = 1 if waiting is None else waiting.times + 1
        self._waiting[route] = _Waiting(request, target, usage.cached_input, times)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for route in list(self._waiting):
                one = self._waiting.pop(route)
                took_s = 0.0
                try:
                    took_s = await self._look(route, one)
                except Exception:  # whatever a client wrote, the next prompt is looked through
                    log.exception("a prompt of route %s could not be looked through for waste", route)
                await asyncio.sleep(took_s * self._pause)

    async def _look(self, route: str, one: _Waiting) -> float:
        """Report what `one` wastes; the seconds of a core that this took."""
        if len(one.request.body) <= AT_ONCE_BYTES:
            tokens, took_s = self._timed(route, one)
        else:
            tokens, took_s = await self._counter.in_thread(self._timed, route, one)
        if any(tokens.values()):
            self._report(Wasted(route, one.target, {kind: n * one.times for kind, n in tokens.items() if n}))
        return took_s

    def _timed(self, route: str, one: _Waiting) -> tuple[dict[str, int], float]:
        began = time.thread_time()
        return self._tokens(route, one), time.thread_time() - began

    def _tokens(self, route: str, one: _Waiting) -> dict[str, int]:
        count = self._counter.measure(one.target.model)
        texts = _beginning(texts_of(one.request), LOOK_CHARS)
        found: Counter[str] = Counter()
        blocks = list(repeats(texts))
        repeated = {block.label for block in blocks}
        for text in texts:
            if text.label in repeated:
                here = [block for block in blocks if block.label == text.label]
                found.update(_costs(text, [*here, *outside(blanks(text), here)], count))
            else:
                found.update(self._blanks(text, count))
        shared = self._prefixes.setdefault(route, Prefixes()).shared(texts, count)
        found["prefix"] = max(0, shared - one.cached_input)
        return dict(found)

    def _blanks(self, text: Text, count: Count) -> dict[str, int]:
        """By kind; system prompts and histories come back, so it is remembered by the text."""
        known = self._known.get(text.text)
        if known is None:
            known = _costs(text, blanks(text), count)
            self._known.put(text.text, known)
        return known


def _costs(text: Text, found: Sequence[Fragment], count: Count) -> dict[str, int]:
    tokens: Counter[str] = Counter()
    for one in found:
        tokens[one.kind] += cost_of(text.text, one, count)
    return dict(tokens)


def _beginning(texts: Sequence[Text], chars: int) -> list[Text]:
    kept: list[Text] = []
    for label, text in texts:
        if chars <= 0:
            break
        kept.append(Text(label, text[:chars]))
        chars -= len(text)
    return kept
