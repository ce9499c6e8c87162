"""The beginning that a route's prompts share: instructions, examples, documents sent along with every request.

Upstreams keep such beginnings and charge less for them (OpenAI from 1,024 tokens on), but only where they
are the same to the last character: a date or a name in the first lines makes every request pay in full.
So what is wasted is that part of a shared beginning which the upstream did not take from its cache.
"""

from collections.abc import Sequence
from hashlib import blake2b

from gateway.tokens.waste import Count, Text

STEP_CHARS = 4096
"""Some 1,000 tokens: the least that is worth an upstream's cache, and how finely beginnings are told apart."""

OFTEN = 5
"""A beginning is shared once so many prompts have had it: a conversation's own history seldom is."""

MEMORY = 256
"""Beginnings remembered for one route, 16 steps each prompt at most; the oldest goes."""


class Prefixes:
    """The beginnings of one route's prompts, by their hash."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}
        self._tokens: dict[bytes, int] = {}

    def shared(self, texts: Sequence[Text], count: Count) -> int:
        """Tokens of the longest shared beginning of this prompt, which then counts as seen; 0 if it has none."""
        whole = "\x1e".join(text.text for text in texts)
        hasher = blake2b(digest_size=16)
        shared: tuple[bytes, int] | None = None
        for end in range(STEP_CHARS, len(whole) + 1, STEP_CHARS):
            hasher.update(whole[end - STEP_CHARS : end].encode("utf-8", "surrogatepass"))
            key = hasher.digest()
            times = self._seen.pop(key, 0) + 1
            self._remember(key, times)
            if times > OFTEN:
                shared = key, end
        if shared is None:
            return 0
        key, end = shared
        if key not in self._tokens:
            self._tokens[key] = count(whole[:end])
        return self._tokens[key]

    def _remember(self, key: bytes, times: int) -> None:
        if len(self._seen) >= MEMORY:
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            self._tokens.pop(oldest, None)
        self._seen[key] = times
