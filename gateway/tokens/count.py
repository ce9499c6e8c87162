"""Counts a request's tokens without holding up the event loop.

small body ── parts ── memo ─┬─ all known, or little is new ── counted at once
                             └─ much is new ──┐
large body ───────────────────────────────────┴─ the same in a thread
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from gateway.tokens.cut import RUN_CHARS, pieces
from gateway.tokens.encodings import SHAPES, Encoder, Encodings, encoding_name
from gateway.tokens.memo import Memo, fingerprint
from gateway.tokens.part import Part, Rendering, weakest
from gateway.tokens.prompt import prompt_parts
from gateway.values import CountKind, Estimate, Request

SMALL_BODY_BYTES = 65_536
"""Taking a body of this size apart and looking its texts up costs under 1 ms."""

AT_ONCE_CHARS = 4_096
"""As much text that nobody has counted yet costs 0.3 ms, hostile text 1 ms; the way through a thread costs 0.1 ms."""

THREADS = 2
"""More would only take the cores away from the event loop. What waits is bounded by the requests in flight."""


T = TypeVar("T")


SWITCH_INTERVAL_S = 0.001
"""How long a thread may hold the GIL while the event loop waits for it; Python's own 0.005 s is felt. It holds for
the whole process, from the first time that a thread is needed."""


class CountedPart(NamedTuple):
    label: str
    tokens: int
    kind: CountKind


class TokenCounter:
    """Counts prompts and texts; one serves a process. `close` it when done."""

    def __init__(self, encodings: Encodings) -> None:
        self._encodings = encodings
        self._memos: dict[str, Memo[int]] = {name: Memo() for name in SHAPES}
        self._rendered: Memo[tuple[int, CountKind]] = Memo()
        self._threads = ThreadPoolExecutor(
            THREADS, "tokens", initializer=sys.setswitchinterval, initargs=(SWITCH_INTERVAL_S,)
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def estimate(self, request: Request, model: str) -> Estimate:
        """What `request` is worth if `model` answers it: its prompt's tokens, and the most it may generate."""
        return estimate_of(await self.count(request, model), request)

    async def count(self, request: Request, model: str) -> list[CountedPart]:
        """The prompt part by part, in the order the model reads it."""
        encoder = await self._encoder(model)
        if len(request.body) <= SMALL_BODY_BYTES:
            counted = self._count(encoder, prompt_parts(request, model), AT_ONCE_CHARS)
            if counted is not None:
                return counted
        return await self.in_thread(self._count_all, encoder, request, model)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function(*arguments)` in one of the few threads that may take their time over a large prompt."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def count_text(self, text: str, model: str) -> int:
        """Tokens of `text` alone, such as a completion whose usage was never reported."""
        encoder = await self._encoder(model)
        if len(text) <= AT_ONCE_CHARS:
            return self._count_text(encoder, text)[0]
        return (await self.in_thread(self._count_text, encoder, text))[0]

    def parts(self, request: Request, model: str) -> list[CountedPart]:
        """As `count`, here and now however long it takes: for tools without an event loop."""
        return self._count_all(self._encodings.load_here(encoding_name(model)), request, model)

    def measure(self, model: str) -> Callable[[str], int]:
        """What counts a bare text for `model` here and now, and remembers nothing: for work beside the requests."""
        encoder = self._encodings.load_here(encoding_name(model))
        return lambda text: sum([encoder.count(piece) for piece in pieces(text)[0]])

    async def meter(self, model: str) -> Callable[[str], int]:
        """What counts texts for `model` here and now, such as a stream's while it passes."""
        encoder = await self._encoder(model)
        return lambda text: self._count_text(encoder, text)[0]

    async def _encoder(self, model: str) -> Encoder:
        name = encoding_name(model)
        encoder = self._encodings.get(name)
        return encoder if encoder is not None else await self._encodings.load(name)

    def _count_all(self, encoder: Encoder, request: Request, model: str) -> list[CountedPart]:
        return self._count(encoder, prompt_parts(request, model), None) or []

    def _count(self, encoder: Encoder, parts: Iterable[Part], new_chars: int | None) -> list[CountedPart] | None:
        """`parts` counted; None as soon as that would take more than `new_chars` of unknown text, or a rendering."""
        memo = self._memos[encoder.name]
        left = sys.maxsize if new_chars is None else new_chars
        counted = []
        for label, texts, tokens, kind, rendering in parts:
            if rendering is not None:
                rendered = self._count_rendering(encoder, rendering, may_render=new_chars is None)
                if rendered is None:
                    return None
                tokens += rendered[0]
                kind = weakest((kind, rendered[1]))
            for text in texts:
                known = memo.get(text)
                if known is None:
                    left -= len(text)
                    if left < 0:
                        return None
                    known, is_exact = self._count_text(encoder, text)
                    kind = kind if is_exact else "bound"
                tokens += known
            counted.append(CountedPart(label, tokens, kind))
        return counted

    def _count_rendering(
        self, encoder: Encoder, rendering: Rendering, *, may_render: bool
    ) -> tuple[int, CountKind] | None:
        """Tools and schemas come back with each request of an application: remembered by what they were made from."""
        source, render = rendering
        key = fingerprint(encoder.name, render.__name__, source)
        known = self._rendered.get(key) if key is not None else None
        if known is not None or not may_render:
            return known
        texts, kind = render(source)
        counts = [self._count_text(encoder, text) for text in texts]
        is_exact = all(exact for _, exact in counts)
        result = sum(count for count, _ in counts), kind if is_exact else "bound"
        if key is not None:
            self._rendered.put(key, result)
        return result

    def _count_text(self, encoder: Encoder, text: str) -> tuple[int, bool]:
        """Tokens of `text`, and whether that is exact; an exact count is remembered, and so are long pieces."""
        memo = self._memos[encoder.name]
        if len(text) <= RUN_CHARS:
            count = encoder.count(text)
            memo.put(text, count)
            return count, True
        found, is_exact = pieces(text)
        is_whole = len(found) == 1
        count = encoder.count(text) if is_whole else sum(self._count_piece(encoder, piece) for piece in found)
        if is_exact:
            memo.put(text, count)
        return count, is_exact

    def _count_piece(self, encoder: Encoder, piece: str) -> int:
        """Pieces repeat, too: those of a growing document, and those of a megabyte of one letter."""
        memo = self._memos[encoder.name]
        count = memo.get(piece)
        if count is None:
            count = encoder.count(piece)
            memo.put(piece, count)
        return count


def estimate_of(counted: list[CountedPart], request: Request) -> Estimate:
    """The parts of `request`'s prompt, summed up, with the completion it reserves."""
    return Estimate(tokens_of(counted), weakest([part.kind for part in counted]), completion_tokens(request))


def tokens_of(counted: Sequence[CountedPart]) -> int:
    return sum([part.tokens for part in counted])


def completion_tokens(request: Request) -> int | None:
    """The most all choices together may generate; None when nothing caps them. Embeddings generate nothing."""
    if request.endpoint == "embeddings":
        return 0
    return None if request.completion_cap is None else request.choices * request.completion_cap
