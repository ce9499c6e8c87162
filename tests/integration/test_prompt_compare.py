"""Two versions of a prompt beside each other, as operators ask for it: on the admin port and at the command line."""

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.sql import Database
from gateway.values import Cost
from tests.integration.test_prompt_figures import asked, book
from tests.support.gateway import ADMIN_KEY, config, gateway


def served(url: str) -> dict[str, Any]:
    sections = {"server": {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}}, "ledger": url}
    return config("http://127.0.0.1:1/v1", **sections)


async def test_operators_see_them_on_the_admin_port(ledger_url: str) -> None:
    now = time.time()
    async with Database(ledger_url) as database:
        await book(database, *(asked(n % 2 + 7, started_at=now, cost=Cost(1_000 + n, "computed")) for n in range(240)))
    async with gateway(served(ledger_url)) as gw:
        found = (await gw.admin("GET", "/admin/prompts/support/figures?before=7&after=8")).json()
        early = (await gw.admin("GET", "/admin/prompts/support/figures?since=2037-01-01")).json()
    assert [(each["version"], each["requests"], each["answers"]) for each in found["versions"]] == [
        (7, 120, 120),
        (8, 120, 120),
    ]
    assert sum(each["cost_nanousd"] for each in found["versions"]) == sum(1_000 + n for n in range(240))
    assert found["versions"][0]["means"]["cost_nanousd"]["mean"] == 1_119.0
    assert found["comparison"]["verdict"].startswith("No difference seen in tokens in, tokens out, cost, time.")
    assert (early["versions"], "comparison" in early) == ([], False)


@pytest.mark.parametrize("query", ["before=7", "after=7", "before=0&after=1", "before=x&after=1", "since=yesterday"])
async def test_what_cannot_be_compared_is_refused(query: str, tmp_path: Path) -> None:
    async with gateway(served(f"sqlite:///{tmp_path}/ledger.db")) as gw:
        answer = await gw.admin("GET", f"/admin/prompts/support/figures?{query}")
    assert answer.status == 400
    assert answer.error["param"] in query
