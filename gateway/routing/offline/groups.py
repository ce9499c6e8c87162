"""Which prompts are near-duplicates: they must not stand on both sides of a fold, or a model is praised for memory.

Two prompts belong together when half of their 3-word shingles are shared, or four fifths of the shorter one's. Shingles
that many prompts have (a benchmark's instructions) say nothing and are left out. Candidates come from MinHash bands
(Broder 1997), and each is then checked against the sets themselves.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.routing.features import MAX_CHARS, split

HASHES = 64
BAND = 2
"""Rows a band: two sets that share half of their shingles meet in one of the 32 bands with probability 0.9999."""
COMMON = 50
"""Shingles in more prompts than this are left out."""
CROWDED = 200
"""Buckets with more prompts than this are compared with their first one only."""
JACCARD = 0.5
CONTAINED = 0.8
_PRIME = np.uint64(2**61 - 1)


def near_duplicates(texts: Sequence[str]) -> NDArray[np.intp]:
    """A group number for each text; equal numbers stay together."""
    shingles = _shingles(texts)
    leaders = list(range(len(texts)))
    for one, other in _candidates(shingles):
        a, b = _leader(leaders, one), _leader(leaders, other)
        if a != b and _alike(shingles[one], shingles[other]):
            leaders[max(a, b)] = min(a, b)
    return np.array([_leader(leaders, place) for place in range(len(texts))], dtype=np.intp)


def _shingles(texts: Sequence[str]) -> list[set[int]]:
    every = []
    for text in texts:
        words = split(text[:MAX_CHARS].encode(errors="replace"))
        starts = range(max(1, len(words) - 2))
        every.append({zlib.crc32(b" ".join(words[start : start + 3])) for start in starts})
    seen_in = Counter(shingle for shingles in every for shingle in shingles)
    return [{shingle for shingle in shingles if seen_in[shingle] <= COMMON} for shingles in every]


def _candidates(shingles: Sequence[set[int]]) -> Iterator[tuple[int, int]]:
    random = np.random.default_rng(0)
    factor = random.integers(1, 2**31, HASHES, dtype=np.uint64)
    shift = random.integers(0, 2**31, HASHES, dtype=np.uint64)
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for place, mine in enumerate(shingles):
        if not mine:
            continue
        hashes = np.fromiter(mine, np.uint64, len(mine))[:, None] * factor + shift
        signature = (hashes % _PRIME).min(axis=0)
        for start in range(0, HASHES, BAND):
            buckets.setdefault((start, signature[start : start + BAND].tobytes()), []).append(place)
    for members in buckets.values():
        for at, one in enumerate(members[: 1 if len(members) > CROWDED else None]):
            for other in members[at + 1 :]:
                yield one, other


def _alike(one: set[int], other: set[int]) -> bool:
    shared = len(one & other)
    return shared >= JACCARD * len(one | other) or shared >= CONTAINED * min(len(one), len(other))


def _leader(leaders: list[int], place: int) -> int:
    while leaders[place] != place:
        leaders[place] = leaders[leaders[place]]
        place = leaders[place]
    return place
