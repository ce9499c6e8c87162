"""Prompts in the database: changed by several at once, and known to every process, on SQLite and on Postgres.

The tables are made here, in this process: a gateway has a process of its own do that, which takes seconds.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import ManualClock, SystemClock
from gateway.errors import BadRequest, Conflict, DatabaseUnavailable, NotFound, PromptsUnavailable
from gateway.migrations.upgrade import upgrade
from gateway.prompts import store as store_module
from gateway.prompts.document import Message, PromptDocument, Shadow
from gateway.prompts.registry import Registry
from gateway.prompts.store import PromptStore
from gateway.prompts.version import Arm
from gateway.sql import Database
from tests.support.polling import until
from tests.support.postgres_server import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    server: PostgresServer = request.getfixturevalue("postgres")
    upgrade(server.url)
    return server.url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    upgrade(url)
    return url


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[PromptStore]:
    async with Database(sqlite_url) as database:
        yield PromptStore(database, SystemClock())


@asynccontextmanager
async def stores(url: str, count: int) -> AsyncIterator[list[PromptStore]]:
    """As many as replicas would have, each with a connection of its own."""
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(Database(url)) for _ in range(count)]
        yield [PromptStore(database, SystemClock()) for database in databases]


@asynccontextmanager
async def registry(url: str) -> AsyncIterator[Registry]:
    async with Database(url, only_read=True) as database, Registry(database, SystemClock()) as known:
        yield known


def document(text: str = "Be brief.", *, name: str = "bot", **fields: Any) -> PromptDocument:
    return PromptDocument(name=name, messages=(Message(role="system", content=text),), **fields)


async def pushed(store: PromptStore, *texts: str, name: str = "bot", label: str | None = None) -> None:
    for text in texts:
        await store.push(document(text, name=name), author="ann", label=label)


async def pointing(store: PromptStore, label: str = "production") -> list[tuple[int, int]]:
    at = (await store.show("bot"))["labels"][label]
    return [(arm["version"], arm["weight"]) for arm in at["versions"]]


async def test_pushing_what_is_the_newest_version_changes_nothing(url: str) -> None:
    async with stores(url, 1) as (store,):
        first = await store.push(document("One."), author="ann")
        again = await store.push(document("One."), author="bob")
        second = await store.push(document("Two."), author="bob")
        back = await store.push(document("One."), author="bob")
        assert [(each["version"], each["status"]) for each in (first, again, second, back)] == [
            (1, "created"),
            (1, "unchanged"),
            (2, "created"),
            (3, "created"),
        ]
        assert first["id"].startswith("pmpt_")
        assert len(first["id"]) == 53
        versions = await store.versions(first["id"])
        assert [(each["version"], each["author"]) for each in versions] == [(1, "ann"), (2, "bob"), (3, "bob")]
        assert (await store.version("bot", "2"))["document"]["messages"][0]["content"] == "Two."
        assert [each["action"] for each in await store.audit(None, before=None, limit=10)] == ["push"] * 3


async def test_a_pushed_version_may_get_its_label_at_once(store: PromptStore) -> None:
    await pushed(store, "One.", label="production")
    await pushed(store, "Two.", label="canary")
    assert (await pointing(store), await pointing(store, "canary")) == ([(1, 1)], [(2, 1)])
    answer = await store.push(document("Two."), author="ann", label="production")
    assert answer["status"] == "unchanged"
    assert await pointing(store) == [(2, 1)]


async def test_rolling_back_goes_one_step_further_back_each_time(url: str) -> None:
    async with stores(url, 1) as (store,):
        await pushed(store, "One.", "Two.", "Three.", label="production")
        await store.rollback("bot", "production", author="ann")
        assert await pointing(store) == [(2, 1)]
        await store.rollback("bot", "production", author="ann")
        assert await pointing(store) == [(1, 1)]
        with pytest.raises(Conflict, match="has been version 1 from the first"):
            await store.rollback("bot", "production", author="ann")
        await store.activate("bot", "production", 3, author="ann")
        await store.rollback("bot", "production", author="ann")
        assert await pointing(store) == [(1, 1)]
        (last, *_) = await store.audit("bot", before=None, limit=1)
        assert (last["action"], last["label"]) == ("rollback", "production")
        assert last["before"]["versions"] == [{"version": 3, "weight": 1}]
        assert last["after"]["versions"] == [{"version": 1, "weight": 1}]


async def test_of_two_who_roll_back_the_same_version_the_second_is_told(store: PromptStore) -> None:
    await pushed(store, "One.", "Two.", "Three.", label="production")
    await store.rollback("bot", "production", author="ann", expected=3)
    with pytest.raises(Conflict, match="is not 3 but version 2"):
        await store.rollback("bot", "production", author="bob", expected=3)
    assert await pointing(store) == [(2, 1)]


async def test_activating_what_is_active_is_no_step_to_roll_back(store: PromptStore) -> None:
    await pushed(store, "One.", "Two.", label="production")
    await store.activate("bot", "production", 2, author="ann")
    await store.rollback("bot", "production", author="ann")
    assert await pointing(store) == [(1, 1)]


async def test_a_stopped_split_leaves_what_was_before_it_however_often_its_weights_moved(url: str) -> None:
    async with stores(url, 1) as (store,):
        await pushed(store, "One.", "Two.", "Three.", label="production")
        await store.split("bot", "production", {3: 9, 1: 1}, "user", author="ann")
        await store.split("bot", "production", {3: 1, 1: 1}, "user", author="ann")
        assert await pointing(store) == [(1, 1), (3, 1)]
        await store.stop("bot", "production", author="ann")
        assert await pointing(store) == [(3, 1)]
        with pytest.raises(Conflict, match="no split of 'production'"):
            await store.stop("bot", "production", author="ann")
        await store.rollback("bot", "production", author="ann")
        assert await pointing(store) == [(2, 1)]


async def test_rolling_back_a_split_goes_to_what_was_before(store: PromptStore) -> None:
    await pushed(store, "One.", "Two.", label="production")
    await store.split("bot", "production", {1: 1, 2: 1}, "conversation", author="ann")
    await store.rollback("bot", "production", author="ann")
    assert await pointing(store) == [(2, 1)]


async def test_changes_of_several_at_once_are_all_made_and_none_twice(url: str) -> None:
    async with stores(url, 3) as several, registry(url) as known:
        await pushed(several[0], "Zero.", label="production")
        texts = [[f"{writer} {number}" for number in range(6)] for writer in range(3)]
        await asyncio.gather(
            *(pushed(store, *mine, label="production") for store, mine in zip(several, texts, strict=True))
        )
        versions = await several[0].versions("bot")
        assert [each["version"] for each in versions] == list(range(1, 20))
        changes = await several[0].audit("bot", before=None, limit=100)
        assert [each["seq"] for each in changes] == list(range(38, 0, -1))  # a push and a label each
        assert await pointing(several[0]) == [(19, 1)]
        await known.refresh()
        prompt = known.get("bot")
        assert prompt is not None
        said = {version.document.messages[0].content for version in prompt.versions.values()}
        assert said == {"Zero.", *(text for mine in texts for text in mine)}


async def test_what_is_changed_anywhere_is_known_everywhere(url: str) -> None:
    async with stores(url, 1) as (store,), registry(url) as one, registry(url) as other:
        assert one.is_empty
        assert one.get("bot") is None
        id_ = (await store.push(document("One."), author="ann", label="production"))["id"]
        await store.push(document("Two."), author="ann")
        await store.split("bot", "canary", {1: 9, 2: 1}, "user", author="ann")
        await store.shadow("bot", Shadow(version=2, share=0.5), author="ann")
        for known in (one, other):
            await until(lambda known=known: (p := known.get("bot")) is not None and p.shadow is not None)
            prompt = known.get(id_)
            assert prompt is not None
            assert prompt is known.get("bot")
            assert not known.is_empty
            assert {number: each.document for number, each in prompt.versions.items()} == {
                1: document("One."),
                2: document("Two."),
            }
            assert prompt.labels == {"production": (Arm(1, 1),), "canary": (Arm(1, 9), Arm(2, 1))}
            assert prompt.sticky_by == {"canary": "user"}
            assert prompt.shadow == Shadow(version=2, share=0.5)
        held = one.get("bot")
        await store.activate("bot", "canary", 2, author="ann")
        await store.shadow("bot", None, author="ann")
        await until(lambda: (p := other.get("bot")) is not None and p.shadow is None)
        await one.refresh()
        assert held is not None
        assert held.labels["canary"] == (Arm(1, 9), Arm(2, 1)), "a request in flight keeps what it began with"
        for known in (one, other):
            prompt = known.get("bot")
            assert prompt is not None
            assert (prompt.labels["canary"], prompt.sticky_by) == ((Arm(2, 1),), {})


async def test_an_archived_prompt_is_not_served_until_it_is_restored(url: str) -> None:
    async with stores(url, 1) as (store,), registry(url) as known:
        await pushed(store, "One.", "Two.", label="production")
        await store.archive("bot", author="ann")
        await known.refresh()
        assert known.get("bot") is None
        assert known.is_empty
        for change in (store.push(document("Three."), author="ann"), store.activate("bot", "canary", 1, author="ann")):
            with pytest.raises(Conflict, match="archived"):
                await change
        await store.restore("bot", author="ann")
        await known.refresh()
        prompt = known.get("bot")
        assert prompt is not None
        assert (sorted(prompt.versions), prompt.labels) == ([1, 2], {"production": (Arm(2, 1),)})


async def test_many_versions_are_read_page_by_page(store: PromptStore, sqlite_url: str) -> None:
    for number in range(60):
        await pushed(store, "One.", "Two.", name=f"bot-{number}")
    async with registry(sqlite_url) as known:
        await until(lambda: known.versions == 120)
        assert len(known) == 60


async def test_a_database_from_a_backup_is_read_anew(store: PromptStore, sqlite_url: str, tmp_path: Path) -> None:
    await pushed(store, "One.", label="production")
    async with Database(sqlite_url) as database:  # what stands in the log goes into the file
        await database.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(tmp_path / "ledger.db", tmp_path / "backup.db")
    await pushed(store, "Two.", "Three.", label="production")
    await pushed(store, "Another.", name="another")
    async with registry(sqlite_url) as known:
        await until(lambda: len(known) == 2)
        async with Database(f"sqlite:///{tmp_path}/backup.db", only_read=True) as backup:
            known._database = backup
            await known.refresh()
        prompt = known.get("bot")
        assert prompt is not None
        assert (known.get("another"), sorted(prompt.versions), prompt.labels) == (
            None,
            [1],
            {"production": (Arm(1, 1),)},
        )


async def test_before_anything_could_be_read_nobody_is_told_that_there_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    async with registry(f"sqlite:///{tmp_path}/ledger.db") as known:
        assert not known.is_empty
        with pytest.raises(PromptsUnavailable):
            known.get("bot")


async def test_looking_for_prompts_makes_no_database(tmp_path: Path) -> None:
    async with registry(f"sqlite:///{tmp_path}/ledger.db") as known:
        assert known.is_empty
        assert known.get("bot") is None
    assert not (tmp_path / "ledger.db").exists()


async def test_what_this_gateway_cannot_read_is_left_out(
    store: PromptStore, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await pushed(store, "One.", "Two.", label="production")
    await store.shadow("bot", Shadow(version=2, share=0.5), author="ann")
    async with Database(sqlite_url) as database:
        await database.write(('UPDATE prompt_versions SET document = \'{"name": "x"}\' WHERE number = $1', [(1,)]))
        await database.write(("UPDATE prompt_shadow SET shadow = $1", [('{"version": 2, "of_whom": "all"}',)]))
    async with registry(sqlite_url) as known:
        prompt = known.get("bot")
        assert prompt is not None
        assert (sorted(prompt.versions), prompt.shadow) == ([2], None)
    assert "version 1 of prompt 'pmpt_" in caplog.text


async def test_the_age_is_that_of_the_last_answer_of_the_database(sqlite_url: str) -> None:
    clock = ManualClock()
    async with Database(sqlite_url, only_read=True) as database:
        known = Registry(database, clock)
        await known.refresh()
        clock.advance(7)
        assert known.age_s == 7
        await known.refresh()
        assert known.age_s == 0


async def test_what_is_not_there_is_told_with_what_is(store: PromptStore) -> None:
    await pushed(store, "One.", "Two.", label="production")
    for asked, message in (
        (store.activate("bot", "production", 9, author="ann"), "'bot' has no version 9; its newest is 2."),
        (store.split("bot", "production", {1: 1, 9: 1}, "user", author="ann"), "'bot' has no version 9"),
        (store.shadow("bot", Shadow(version=9, share=1), author="ann"), "'bot' has no version 9"),
        (store.rollback("bot", "canary", author="ann"), "'bot' has no label 'canary'; it has: production."),
        (store.version("bot", "canary"), "it has: production. Name a number, a label or 'newest'."),
        (store.show("nobody"), "There is no prompt 'nobody'."),
    ):
        with pytest.raises(NotFound) as error:
            await asked
        assert message in error.value.message


async def test_ids_and_names_do_not_get_mixed_up(store: PromptStore) -> None:
    await store.push(document(), author="ann", id_="pmpt_abc")
    with pytest.raises(BadRequest, match="reads like an id"):
        await store.push(document(name="pmpt_abc"), author="ann")
    with pytest.raises(Conflict, match="is that of the prompt 'bot'"):
        await store.push(document(name="another"), author="ann", id_="pmpt_abc")
    with pytest.raises(Conflict, match="has another id, 'pmpt_abc'"):
        await store.push(document("Two."), author="ann", id_="pmpt_def")
    assert (await store.show("pmpt_abc"))["name"] == "bot"


async def test_more_than_every_process_can_hold_is_refused(store: PromptStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequest, match=r"a version may have 1,048,576"):
        await store.push(document("x" * (1 << 20)), author="ann")
    with pytest.raises(BadRequest, match="cannot be kept"):
        await store.push(document(parameters={"seed": 1 << 70}), author="ann")
    monkeypatch.setattr(store_module, "MOST_VERSIONS", 2)
    monkeypatch.setattr(store_module, "MOST_PROMPTS", 2)
    monkeypatch.setattr(store_module, "MOST_BYTES", 1000)
    await pushed(store, "One.", "Two.")
    with pytest.raises(Conflict, match="'bot' has 2 versions, and a prompt may have no more"):
        await pushed(store, "Three.")
    with pytest.raises(Conflict, match="archive some"):
        await pushed(store, "x" * 1000, name="large")
    await pushed(store, "One.", name="second")
    with pytest.raises(Conflict, match="There are 2 prompts"):
        await pushed(store, "One.", name="third")
    await store.archive("second", author="ann")
    await pushed(store, "One.", name="third")
    with pytest.raises(Conflict, match="There are 2 prompts"):
        await store.restore("second", author="ann")


@pytest.fixture
def postgres_with_tables(postgres: PostgresServer) -> PostgresServer:
    upgrade(postgres.url)
    return postgres


async def test_a_database_that_was_away_is_followed_again(postgres_with_tables: PostgresServer) -> None:
    server = postgres_with_tables
    async with stores(server.url, 1) as (store,), registry(server.url) as known:
        await pushed(store, "One.", "Two.", label="production")
        await until(lambda: known.versions == 2)
        await asyncio.to_thread(server.stop)
        with pytest.raises(DatabaseUnavailable):
            await known.refresh()
        prompt = known.get("bot")
        assert prompt is not None
        assert prompt.labels == {"production": (Arm(2, 1),)}
        await asyncio.to_thread(server.start)
        await store.rollback("bot", "production", author="ann")
        await until(lambda: (p := known.get("bot")) is not None and p.labels["production"] == (Arm(1, 1),))
