"""Two versions of a prompt beside each other, as operators ask for it: on the admin port and at the command line."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.accounting.versions import figures_of
from gateway.cli.main import main
from gateway.clock import SystemClock
from gateway.migrations.upgrade import upgrade
from gateway.prompts.document import Message, PromptDocument
from gateway.prompts.store import PromptStore
from gateway.sql import Database
from gateway.values import Cost
from tests.integration.test_prompt_figures import ALL, asked, book
from tests.support.gateway import ADMIN_KEY, config, gateway

ANSWERS = 240


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A ledger with as many answers of version 7 as of 8, and four of 9."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    await asyncio.to_thread(upgrade, url)
    now = time.time()
    async with Database(url) as database:
        document = PromptDocument(name="support", messages=(Message(role="system", content="Be brief."),))
        await PromptStore(database, SystemClock()).push(document, author="ann", id_="pmpt_1")
        answers = [asked(n % 2 + 7, started_at=now, cost=Cost(1_000 + n, "computed")) for n in range(ANSWERS)]
        await book(database, *answers, *(asked(9, started_at=now) for _ in range(4)))
    return url


def served(url: str) -> dict[str, Any]:
    sections = {"server": {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}}, "ledger": url}
    return config("http://127.0.0.1:1/v1", **sections)


@pytest.mark.parametrize("name", ["support", "pmpt_1"])
async def test_operators_see_them_on_the_admin_port(url: str, name: str) -> None:
    async with gateway(served(url)) as gw:
        found = (await gw.admin("GET", f"/admin/prompts/{name}/figures?before=7&after=8")).json()
        early = (await gw.admin("GET", f"/admin/prompts/{name}/figures?since=2037-01-01")).json()
    assert found["prompt"] == "support"
    assert [(each["version"], each["requests"], each["answers"]) for each in found["versions"]] == [
        (7, 120, 120),
        (8, 120, 120),
        (9, 4, 4),
    ]
    assert sum(each["cost_nanousd"] for each in found["versions"][:2]) == sum(1_000 + n for n in range(ANSWERS))
    assert found["versions"][0]["means"]["cost_nanousd"]["mean"] == 1_119.0
    assert found["comparison"]["verdict"].startswith("No difference seen in tokens in, tokens out, cost, time.")
    assert (early["versions"], "comparison" in early) == ([], False)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("support/figures?before=7", 400),
        ("support/figures?after=7", 400),
        ("support/figures?before=0&after=1", 400),
        ("support/figures?before=x&after=1", 400),
        ("support/figures?since=yesterday", 400),
        ("unheard-of/figures", 404),
        ("%00/figures", 404),
    ],
)
async def test_what_cannot_be_compared_is_refused(url: str, path: str, status: int) -> None:
    async with gateway(served(url)) as gw:
        answer = await gw.admin("GET", f"/admin/prompts/{path}")
    assert answer.status == status
    assert status == 404 or answer.error["param"] in path


async def ran(*args: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, args)


async def test_at_the_command_line_they_stand_side_by_side(url: str) -> None:
    text = (await ran("prompts", "compare", "support", "7", "8", "--ledger", url)).output
    for words in ("support, 20", "tokens in", "100.0 (100.0 to 100.0)", "none seen:", "0.500 s", "neither", "50 more"):
        assert words.replace("0.500 s", "0.5 s") in text, text
    assert "Not enough yet for thumbs down: 50 more opinions on 7, 50 more opinions on 8." in text
    early = (await ran("prompts", "compare", "pmpt_1", "7", "9", "--ledger", url)).output
    assert "not enough yet: 96 more" in early
    found = json.loads((await ran("prompts", "compare", "support", "7", "8", "--ledger", url, "--json")).output)
    async with Database(url) as database:
        seven, *_ = await figures_of(database, "support", **ALL)
    assert found["versions"][0]["cost_nanousd"] == seven.cost_nanousd
    assert found["comparison"]["lines"][2]["verdict"] == "same"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["unheard-of", "1", "2"], 1, "no prompt"),
        (["support", "7", "8", "--since", "2037-01-01"], 1, "no request for the prompt 'support'"),
        (["support", "0", "8"], 2, "0 is not in the range"),
        (["support", "canary", "8"], 2, "is not a valid integer"),
    ],
)
async def test_what_is_not_there_is_told(url: str, arguments: list[str], code: int, said: str) -> None:
    found = await ran("prompts", "compare", *arguments, "--ledger", url)
    assert (found.exit_code, said in found.output) == (code, True), found.output


async def test_the_report_tells_prompts_and_versions_apart(url: str) -> None:
    found = await ran("report", "--by", "prompt,prompt_version", "--ledger", url, "--json")
    lines = {(line["prompt"], line["prompt_version"]): line["requests"] for line in json.loads(found.output)["lines"]}
    assert lines == {("support", "7"): 120, ("support", "8"): 120, ("support", "9"): 4}
