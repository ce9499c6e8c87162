"""A label moved while two replicas serve: when each of them follows, and that no request fails for it.

How long it took is logged (`pytest -o log_cli=1 --log-cli-level=INFO`) and not asserted: the order of things is.
"""

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.migrations.upgrade import upgrade
from tests.support.gateway import ADMIN_KEY, RunningGateway, config
from tests.support.gateway import gateway as running
from tests.support.polling import until
from tests.support.postgres_server import PostgresServer
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

log = logging.getLogger(__name__)

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))
BODY = json.dumps({"model": "gpt-5-mini", "prompt": {"id": "bot"}, "messages": [{"role": "user", "content": "hi"}]})
CLIENTS = 3
"""Of each replica, one request after the other."""


@dataclass
class Served:
    """What the clients of one replica saw: when each request was sent, and which version answered."""

    answers: list[tuple[float, str]] = field(default_factory=list)
    failures: list[tuple[int, bytes]] = field(default_factory=list)

    async def ask(self, gw: RunningGateway) -> None:
        while True:
            sent = time.monotonic()
            answer = await gw.request("POST", "/v1/chat/completions", body=BODY.encode())
            if answer.status == 200:
                self.answers.append((sent, answer.headers["x-gateway-prompt"]))
            else:
                self.failures.append((answer.status, answer.body))

    async def until(self, version: str, *, count: int) -> None:
        """Until the last `count` answers are of `version`."""
        await until(lambda: [found for _, found in self.answers[-count:]] == [version] * count)

    def since(self, at: float) -> list[str]:
        """Versions of what was sent after that, in its order."""
        return [version for sent, version in sorted(self.answers) if sent > at]


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_ledger"))
    server: PostgresServer = request.getfixturevalue("postgres")
    upgrade(server.url)
    return server.url


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    upgrade(url)
    return url


@asynccontextmanager
async def clients_of(gw: RunningGateway) -> AsyncIterator[Served]:
    served = Served()
    tasks = [asyncio.create_task(served.ask(gw)) for _ in range(CLIENTS)]
    try:
        yield served
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled()


async def change(gw: RunningGateway, action: str, **body: object) -> float:
    """When it was answered."""
    answer = await gw.admin("POST", f"/admin/prompts/bot/labels/production/{action}", body)
    assert answer.status == 200, answer.body
    return time.monotonic()


async def test_a_label_moves_on_both_replicas_and_no_request_fails(ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up:
        document = config(up.base_url, server={"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}}, ledger=ledger)
        async with running(document) as one, running(document) as other:
            for text, label in (("One.", "production"), ("Two.", "newer")):
                says = {"name": "bot", "messages": [{"role": "system", "content": text}]}
                pushed = await one.admin("POST", "/admin/prompts", {"document": says, "label": label})
                assert pushed.status == 201
            await other.until(lambda scrape: scrape("gateway_prompt_versions") == 2)
            async with clients_of(one) as here, clients_of(other) as there:
                moved = [
                    ("activate", {"version": 2}, "bot@1", "bot@2"),
                    ("rollback", {"expected": 2}, "bot@2", "bot@1"),
                ]
                for action, body, before, after in moved:
                    await asyncio.gather(*(served.until(before, count=CLIENTS) for served in (here, there)))
                    began = time.monotonic()
                    answered = await change(one, action, **body)
                    await asyncio.gather(*(served.until(after, count=3 * CLIENTS) for served in (here, there)))
                    assert set(here.since(answered)) == {after}, "where it was changed it holds from the answer on"
                    turned = there.since(began)
                    first = turned.index(after)
                    assert set(turned[:first]) <= {before}
                    assert set(turned[first + CLIENTS :]) == {after}, "a replica that has followed does not go back"
                    follows = min(sent for sent, found in there.answers if sent > began and found == after)
                    took_ms = [round(1000 * (at - began)) for at in (answered, follows)]
                    log.info("%s: answered after %d ms, followed after %d", action, *took_ms)
            assert (here.failures, there.failures) == ([], [])
            log.info("%d requests, none failed", len(here.answers) + len(there.answers))


async def test_without_the_database_the_versions_last_known_are_served(sqlite_ledger: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up:
        server = {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}}
        async with running(config(up.base_url, server=server, ledger=sqlite_ledger)) as gw:
            says = {"name": "bot", "messages": [{"role": "system", "content": "One."}]}
            await gw.admin("POST", "/admin/prompts", {"document": says, "label": "production"})
            with sqlite3.connect(sqlite_ledger.removeprefix("sqlite:///")) as database:
                database.execute("DROP TABLE prompts_version")
            await gw.until(lambda scrape: scrape("gateway_prompts_age_seconds") > 1)
            answer = await gw.request("POST", "/v1/chat/completions", body=BODY.encode())
            assert (answer.status, answer.headers["x-gateway-prompt"]) == (200, "bot@1")


async def test_a_process_that_never_saw_its_database_does_not_say_that_there_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    async with (
        ScriptedUpstream(then=ANSWER) as up,
        running(config(up.base_url, ledger=f"sqlite:///{tmp_path}/ledger.db")) as gw,
    ):
        answer = await gw.request("POST", "/v1/chat/completions", body=BODY.encode())
        assert (answer.status, answer.error["code"]) == (503, "prompts_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await gw.chat()).status == 200
