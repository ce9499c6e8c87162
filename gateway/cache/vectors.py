"""Vectors in this process's memory, and which of them lie nearest. The only module of serving that needs numpy.

They are kept in buckets, and only those of one bucket are ever compared. Of every vector a head is kept apart, a few
of its dimensions beside those of others, since most are ruled out by it: for unit vectors q and v with heads q' and v',

    q·v ≤ q'·v' + √(1-|q'|²) · √(1-|v'|²)                    (Cauchy-Schwarz on what the heads lack)

so that what is below the threshold by its head needs no second look. Nothing is missed. Sums are made by `einsum`, in
this thread: BLAS would share them out over all cores, and wait for cores that other processes have.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.value import value

Vector = NDArray[np.float32]
Bucket = tuple[str, bytes]
"""What a question must have in common with another one: its partition, and what is decisive of its words."""

_BLOCK = 512
"""Rows that are allocated together, once a bucket has so many."""
_FIRST_BLOCK = 4
_LEAST_HEAD = 64
_HEADS = 12
"""The head is a twelfth of a vector, or the least: measured, with `tests/bench/semantic.py`."""
MOST_IN_BUCKET = 10_000
"""A lookup stays below a millisecond."""
_OVERHEAD = 950
"""Bytes a row takes beside its numbers: names, places in dicts, hashes of seven words (measured on CPython 3.11)."""
_SHORTEST = 1e-12
_LONGEST = 16_384
"""Dimensions. No model has a quarter of that."""
_SLACK = 1e-5
"""Of sums in single precision."""


@value
class Near:
    name: str
    similarity: float
    """Cosine, up to 1."""
    rest: tuple[int, ...]


def unit(numbers: object) -> Vector | None:
    """`numbers` as a vector of length 1; None where they are none."""
    if not isinstance(numbers, list) or not 0 < len(numbers) <= _LONGEST:
        return None
    try:
        vector = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if vector.ndim != 1:
        return None
    largest = float(np.max(np.abs(vector)))
    if not math.isfinite(largest) or largest < _SHORTEST:
        return None
    vector /= largest  # squares of large numbers would be infinite
    return (vector / math.sqrt(float(np.einsum("i,i->", vector, vector)))).astype(np.float32)


class _Block:
    """Rows one after the other: whole vectors, their heads, and what their heads lack."""

    def __init__(self, capacity: int, dimensions: int) -> None:
        head = min(dimensions, max(_LEAST_HEAD, dimensions // _HEADS))
        self.rows = np.empty((capacity, dimensions), np.float32)
        self.heads = np.empty((capacity, head), np.float32)
        self.lacks = np.empty(capacity, np.float32)

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.heads.nbytes + self.lacks.nbytes

    def put(self, at: int, vector: Vector) -> None:
        head = vector[: self.heads.shape[1]]
        self.rows[at], self.heads[at], self.lacks[at] = vector, head, _lack(head)

    def above(self, vector: Vector, threshold: float, count: int) -> Iterator[tuple[int, float]]:
        """Which of the first `count` rows are that near, and how near."""
        head = vector[: self.heads.shape[1]]
        bounds = np.einsum("ij,j->i", self.heads[:count], head) + self.lacks[:count] * _lack(head)
        for at in np.flatnonzero(bounds >= threshold - _SLACK):
            similarity = float(np.einsum("i,i->", self.rows[at], vector))
            if similarity >= threshold - _SLACK:
                yield int(at), min(1.0, similarity)


def _lack(head: Vector) -> np.float32:
    return np.float32(math.sqrt(max(0.0, 1 - float(np.einsum("i,i->", head, head)))))


class _Rows:
    """Of one bucket; without holes."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.names: list[str] = []
        self.rests: list[tuple[int, ...]] = []
        self.turn = 0
        """Whose row goes next, once the bucket is full."""
        self._blocks: list[_Block] = [_Block(_FIRST_BLOCK, dimensions)]

    @property
    def nbytes(self) -> int:
        return sum(block.nbytes for block in self._blocks) + _OVERHEAD * len(self.names)

    def append(self, name: str, vector: Vector, rest: tuple[int, ...]) -> None:
        at = len(self.names)
        self.names.append(name)
        self.rests.append(rest)
        first = self._blocks[0]
        if at == len(first.rows) < _BLOCK:
            grown = _Block(min(_BLOCK, 2 * at), self.dimensions)
            grown.rows[:at], grown.heads[:at], grown.lacks[:at] = first.rows, first.heads, first.lacks
            self._blocks[0] = grown
        elif at >= _BLOCK and at % _BLOCK == 0:
            self._blocks.append(_Block(_BLOCK, self.dimensions))
        self._blocks[at // _BLOCK].put(at % _BLOCK, vector)

    def remove(self, at: int) -> str | None:
        """Take the row out; the name of the one that is now in its place."""
        last = len(self.names) - 1
        self.names[at], self.rests[at] = self.names[last], self.rests[last]
        self._blocks[at // _BLOCK].put(at % _BLOCK, self._blocks[last // _BLOCK].rows[last % _BLOCK])
        self.names.pop()
        self.rests.pop()
        if last and last % _BLOCK == 0:
            self._blocks.pop()
        return None if at == last else self.names[at]

    def near(self, vector: Vector, threshold: float) -> Iterator[Near]:
        for number, block in enumerate(self._blocks):
            start = number * _BLOCK
            for at, similarity in block.above(vector, threshold, min(_BLOCK, len(self.names) - start)):
                yield Near(self.names[start + at], similarity, self.rests[start + at])


class Vectors:
    """Under names of cache entries; the least recently used go first, once all take more than `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buckets: dict[tuple[Bucket, int], _Rows] = {}
        self._places: OrderedDict[str, tuple[tuple[Bucket, int], int]] = OrderedDict()
        """Name → its bucket and row."""
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._places)

    def near(self, bucket: Bucket, vector: Vector, threshold: float) -> Sequence[Near]:
        """Those whose cosine with `vector` is `threshold` or more, the nearest first."""
        rows = self._buckets.get((bucket, len(vector)))
        if rows is None:
            return ()
        return sorted(rows.near(vector, threshold), key=lambda near: -near.similarity)

    def used(self, name: str) -> None:
        if name in self._places:
            self._places.move_to_end(name)

    def add(self, bucket: Bucket, name: str, vector: Vector, rest: tuple[int, ...]) -> None:
        self.drop(name)
        key = (bucket, len(vector))
        rows = self._buckets.get(key)
        if rows is None:
            rows = self._buckets[key] = _Rows(len(vector))
            self.size_bytes += rows.nbytes
        if len(rows.names) >= MOST_IN_BUCKET:
            rows.turn = (rows.turn + 1) % MOST_IN_BUCKET
            self.drop(rows.names[rows.turn])
        before = rows.nbytes
        self._places[name] = (key, len(rows.names))
        rows.append(name, vector, rest)
        self.size_bytes += rows.nbytes - before
        while self.size_bytes > self._max_bytes:
            self.drop(next(iter(self._places)))

    def drop(self, name: str) -> None:
        place = self._places.pop(name, None)
        if place is None:
            return
        key, at = place
        rows = self._buckets[key]
        before = rows.nbytes
        moved = rows.remove(at)
        if moved is not None:
            self._places[moved] = (key, at)
        self.size_bytes += rows.nbytes - before
        if not rows.names:
            self.size_bytes -= rows.nbytes
            del self._buckets[key]

    def drop_all(self, which: Callable[[str], bool]) -> None:
        for name in [name for name in self._places if which(name)]:
            self.drop(name)
