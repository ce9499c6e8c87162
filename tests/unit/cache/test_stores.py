"""The in-process store: bounded, forgetful in the right order, and never waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.cache.stores import MemoryStore
from gateway.clock import ManualClock


def now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that must not suspend."""
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    return done.value.value


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_value_is_kept_until_its_time_is_over(clock: ManualClock) -> None:
    store = MemoryStore(clock)
    now(store.set("a", b"1", 60))
    clock.advance(59.9)
    assert now(store.get("a")) == b"1"
    clock.advance(0.1)
    assert now(store.get("a")) is None
    assert len(store) == 0


def test_neither_method_gives_up_the_turn(clock: ManualClock) -> None:
    store = MemoryStore(clock)
    assert now(store.set("a", b"1", 60)) is None
    assert now(store.get("a")) == b"1"
    assert now(store.get("b")) is None


def test_the_least_recently_used_goes_first(clock: ManualClock) -> None:
    store = MemoryStore(clock, max_entries=2)
    now(store.set("a", b"1", 60))
    now(store.set("b", b"2", 60))
    now(store.get("a"))
    now(store.set("c", b"3", 60))
    assert [now(store.get(name)) for name in "abc"] == [b"1", None, b"3"]


def test_bytes_are_bounded_and_counted_exactly(clock: ManualClock) -> None:
    store = MemoryStore(clock, max_bytes=10_000)
    for number in range(1_000):
        now(store.set(f"name-{number % 70}", bytes(number), 60))
        assert store.size_bytes <= 10_000
    assert now(store.get(f"name-{999 % 70}")) == bytes(999)
    sizes = [len(value) + len(name) + 250 for name, (value, _) in store._entries.items()]
    assert store.size_bytes == sum(sizes)


def test_a_value_that_can_never_fit_is_not_kept_and_replaces_what_was_there(clock: ManualClock) -> None:
    store = MemoryStore(clock, max_bytes=10_000)
    now(store.set("other", b"1", 60))
    now(store.set("a", b"old", 60))
    now(store.set("a", bytes(20_000), 60))
    assert now(store.get("a")) is None
    assert now(store.get("other")) == b"1"


def test_a_replaced_value_is_counted_once(clock: ManualClock) -> None:
    store = MemoryStore(clock)
    now(store.set("a", bytes(100), 60))
    now(store.set("a", bytes(50), 60))
    assert store.size_bytes == 1 + 50 + 250
    assert len(store) == 1


async def test_many_tasks_may_use_it(clock: ManualClock) -> None:
    store = MemoryStore(clock)
    await asyncio.gather(*(store.set(str(number), b"%d" % number, 60) for number in range(100)))
    assert await asyncio.gather(*(store.get(str(number)) for number in range(100))) == [b"%d" % n for n in range(100)]
