"""Vectors in memory: the nearest are found, all bounds are kept."""

import math
import random

import pytest

from gateway.cache import vectors
from gateway.cache.vectors import Vector, Vectors, unit

HERE = ("gw:cache:r:s:d", b"marks")
ELSEWHERE = ("gw:cache:r:s:d", b"others")


def vector(*numbers: float) -> Vector:
    found = unit(list(numbers))
    assert found is not None
    return found


def some(count: int, dimensions: int) -> list[Vector]:
    chance = random.Random(7)
    return [vector(*(chance.gauss(0.1, 1) for _ in range(dimensions))) for _ in range(count)]


def names(store: Vectors, asked: Vector, threshold: float = 0.9) -> list[str]:
    return [near.name for near in store.near(HERE, asked, threshold)]


def test_the_nearest_come_first_and_the_far_not_at_all() -> None:
    store = Vectors(1 << 20)
    for name, angle in [("far", 90), ("near", 10), ("nearest", 5)]:
        store.add(HERE, name, vector(math.cos(math.radians(angle)), math.sin(math.radians(angle))), (1, 2))
    found = store.near(HERE, vector(1, 0), 0.9)
    assert [(near.name, round(near.similarity, 4), near.rest) for near in found] == [
        ("nearest", 0.9962, (1, 2)),
        ("near", 0.9848, (1, 2)),
    ]


def test_buckets_and_lengths_are_never_compared() -> None:
    store = Vectors(1 << 20)
    store.add(HERE, "a", vector(1, 0), ())
    assert store.near(ELSEWHERE, vector(1, 0), 0.1) == ()
    assert store.near(HERE, vector(1, 0, 0), 0.1) == ()


@pytest.mark.parametrize("dimensions", [3, 64, 100, 256, 1536])
def test_ruling_out_by_heads_misses_nothing(dimensions: int) -> None:
    store, all_of_them = Vectors(1 << 30), some(700, dimensions)
    for number, each in enumerate(all_of_them):
        store.add(HERE, str(number), each, ())
    chance = random.Random(1)
    for asked in chance.sample(all_of_them, 10):
        other = vector(*(float(x) + chance.gauss(0, 0.3 / math.sqrt(dimensions)) for x in asked))
        for threshold in (0.05, 0.5, 0.97):
            wanted = {str(n) for n, each in enumerate(all_of_them) if float(each @ other) >= threshold + 1e-4}
            surplus = {str(n) for n, each in enumerate(all_of_them) if float(each @ other) >= threshold - 1e-4}
            found = set(names(store, other, threshold))
            assert wanted <= found <= surplus


def test_rows_are_dropped_replaced_and_found_again() -> None:
    chance, store = random.Random(3), Vectors(1 << 30)
    alive: dict[str, Vector] = {}
    for number, each in enumerate(some(2500, 8)):
        name = str(number % 1300)
        store.add(HERE, name, each, ())
        alive[name] = each
        if chance.random() < 0.3:
            gone = chance.choice(list(alive))
            store.drop(gone)
            del alive[gone]
    assert len(store) == len(alive)
    assert all(name in names(store, each, 0.999) for name, each in alive.items())
    store.drop_all(lambda _: True)
    assert (len(store), store.size_bytes) == (0, 0)


def test_the_least_recently_used_go_first_and_memory_is_bounded() -> None:
    store = Vectors(200_000)
    for number, each in enumerate(some(300, 64)):
        store.add(HERE, str(number), each, ())
        store.used("0")
        assert store.size_bytes <= 200_000
    assert 50 < len(store) < 300
    first, last = some(300, 64)[0], some(300, 64)[-1]
    assert names(store, first, 0.99) == ["0"]
    assert names(store, last, 0.99) == ["299"]
    assert names(store, some(300, 64)[1], 0.99) == []


def test_a_bucket_holds_no_more_than_can_be_looked_through_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "MOST_IN_BUCKET", 20)
    store = Vectors(1 << 30)
    for number, each in enumerate(some(100, 4)):
        store.add(HERE, str(number), each, ())
    assert len(store) == 20
    assert names(store, some(100, 4)[99], 0.999) == ["99"]


@pytest.mark.parametrize(
    "numbers",
    [
        None,
        [],
        "text",
        [0.0, 0.0],
        [float("nan"), 1.0],
        [float("inf"), 1.0],
        ["a"],
        [[1.0]],
        [None],
        {},
        [10**400],
        [1, "a"],
    ],
)
def test_what_is_no_vector_is_refused(numbers: object) -> None:
    assert unit(numbers) is None
