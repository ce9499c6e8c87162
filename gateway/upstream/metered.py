"""A stream that must not pass what was reserved for it: how many tokens have gone by, and where it is cut.

Upstreams keep to the completion limit they are sent; this is for one that does not. So while bytes alone prove
that the cap is far nothing is parsed or counted: a token has one byte at least, and of most events a byte search
finds the text.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from gateway.upstream.collect import Collector
from gateway.wire import json_bytes, sse
from gateway.wire.endpoint import Endpoint, Json

_UNCOUNTED_BYTES = 16_384
"""Counted at the latest then: some 4,000 tokens, 1 ms."""


class MeteredCollector(Collector):
    """A collector that passes on at most `cap` tokens, of all choices together, and then ends the stream itself.

    `count` counts the tokens of a text; `ending` makes the events that end a stream after those it is given, with
    their tokens.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        hide_usage: bool,
        cap: int,
        count: Callable[[str], int],
        ending: Callable[[Sequence[Json], int], bytes],
    ) -> None:
        super().__init__(endpoint, hide_usage=hide_usage)
        self._find_texts = endpoint.plain.findall
        self._cap = cap
        self._count = count
        self._ending = ending
        self._texts: list[str] = []
        """All that was generated, as far as it was counted."""
        self._tokens = 0
        """Of `_texts`: exact, or too many by some at the seams of what was counted at a time."""
        self._uncounted: list[bytes] = []
        """As JSON writes them."""
        self._uncounted_bytes = 0

    @property
    def is_over(self) -> bool:
        return self.is_cut or super().is_over

    def feed(self, block: bytes) -> bytes:
        texts = self._find_texts(block)
        if len(texts) == block.count(b"\n\n"):
            size = self._uncounted_bytes + sum(map(len, texts))
            if self._tokens + size <= self._cap and size < _UNCOUNTED_BYTES:
                self._uncounted += texts
                self._uncounted_bytes = size
                return super().feed(block)
        self._count_up()
        said = len(self._texts)
        self._add(_text(self._endpoint, sse.events(block)))
        if self._tokens > self._cap:
            self._tokens = self._count("".join(self._texts))
        return super().feed(block) if self._tokens <= self._cap else self._cut(block, "".join(self._texts[:said]))

    def tokens(self) -> int:
        """Generated so far."""
        self._count_up()
        return self._tokens

    def _count_up(self) -> None:
        if self._uncounted_bytes:
            written = b"".join(self._uncounted)
            self._uncounted_bytes = 0
            self._uncounted.clear()
            self._add(json_bytes.text_in(written))

    def _add(self, text: str) -> None:
        if text:
            self._texts.append(text)
            self._tokens += self._count(text)

    def _cut(self, block: bytes, said: str) -> bytes:
        """As many events of `block` as fit after what was `said` before it, then the end."""
        events = list(sse.events(block))

        def tokens_with(n: int) -> int:
            return self._count(said + _text(self._endpoint, events[:n]))

        fits = bisect_left(range(1, len(events) + 1), self._cap + 1, key=tokens_with)
        visible = super().feed(b"".join(event.raw for event in events[:fits]))
        end = self._ending(self._events(), tokens_with(fits))
        self._keep(end)
        self._is_done = self.is_cut = True
        self.with_usage += end
        self.without_usage += end
        return visible + end


def _text(endpoint: Endpoint, events: Iterable[sse.Event]) -> str:
    parsed = (json_bytes.object_in(event.data) for event in events if event.data)
    return endpoint.generated_text(each for each in parsed if each is not None)
