"""The level in this process: bounded, and forgetful in the right order."""

from gateway.cache.entry import Entry, Stored
from gateway.cache.stores import LocalStore


def stored(body: bytes) -> Stored:
    return Stored(Entry(body, "up/m", None, 0, 0.0), 60.0)


def room_for(entries: int) -> int:
    return entries * (1 + 1 + 900)


def test_the_least_recently_used_goes_first() -> None:
    store = LocalStore(room_for(2))
    store.set("a", stored(b"1"))
    store.set("b", stored(b"2"))
    store.get("a")
    store.set("c", stored(b"3"))
    assert [store.get(name) for name in "abc"] == [stored(b"1"), None, stored(b"3")]


def test_bytes_are_bounded_and_counted_exactly() -> None:
    store = LocalStore(30_000)
    for number in range(1_000):
        store.set(f"name-{number % 70}", stored(bytes(number)))
        assert store.size_bytes <= 30_000
    assert store.get(f"name-{999 % 70}") == stored(bytes(999))
    sizes = [len(each.entry.body) + len(name) + 900 for name, each in store._entries.items()]
    assert store.size_bytes == sum(sizes)


def test_what_is_larger_than_all_the_room_leaves_everything_else() -> None:
    store = LocalStore(5_000)
    assert store.set("small", stored(b"1"))
    assert not store.set("large", stored(bytes(5_000)))
    assert store.get("small") == stored(b"1")
    assert not store.set("small", stored(bytes(5_000)))
    assert store.get("small") is None
    assert store.size_bytes == 0


def test_a_store_of_no_room_keeps_nothing() -> None:
    store = LocalStore(0)
    assert not store.set("a", stored(b""))
    assert len(store) == 0


def test_entries_are_dropped_by_name() -> None:
    store = LocalStore(100_000)
    for name in ("red-1", "red-2", "blue-1"):
        store.set(name, stored(b"1"))
    assert store.drop_all(lambda name: name.startswith("red")) == 2
    assert store.size_bytes == len("blue-1") + 1 + 900
    store.clear()
    assert (len(store), store.size_bytes) == (0, 0)
