"""`gateway report`, `plan`, `reconcile` and `prices`, over a ledger that a gateway has written."""

import asyncio
import csv
import io
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

EXPECTED = "expected sqlite:///FILE or postgresql://USER@HOST:PORT/NAME"
COST = 600 * 150 + 400 * 75 + 200 * 600
"""Of the answer below, at gpt-4o-mini's prices."""
ANSWER = Reply.of(chat_body("Hello.", usage=usage(1000, 200, cached_tokens=400)))
YAML = """\
auth: none
ledger: {ledger}
upstreams: {{up: {{base_url: "http://127.0.0.1:1/v1"}}}}
routes: [{{name: default, upstream: up{cache}}}]
prices: {{"*4o-mini": {{input: {price}, output: 0.6, cached_input: 0.075}}}}
"""


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, args)


async def ran(*args: str) -> Result:
    """In a thread of its own: a command has an event loop of its own."""
    result = await asyncio.to_thread(invoke, *args)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@dataclass(frozen=True, slots=True)
class Books:
    url: str
    folder: Path

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)


@pytest.fixture
async def books(ledger_url: str, tmp_path: Path) -> Books:
    """Two calls that were paid for, two hits, a refusal."""
    routes = [
        {"name": "cached", "match": {"models": ["gpt-4o-*"]}, "upstream": "up", "cache": {}},
        {"name": "default", "upstream": "up", "tokens": {"max_prompt": 100}},
    ]
    async with (
        ScriptedUpstream(ANSWER, ANSWER) as up,
        gateway(config(up.base_url, ledger=ledger_url, routes=routes)) as gw,
    ):
        for _ in range(3):
            await gw.chat(model="gpt-4o-mini")
        await gw.chat(model="GPT-4o-mini")
        await gw.chat(model="GPT-4o-mini", messages=[{"role": "user", "content": "word " * 200}])
    return Books(ledger_url, tmp_path)


async def test_the_report_adds_up(books: Books) -> None:
    said = (await ran("report", "--ledger", books.url, "--by", "route,model", "--json")).output
    document = json.loads(said)
    total = document["total"]
    expected = {
        "requests": 5,
        "hits": 2,
        "refused": 1,
        "failed": 0,
        "paid": 2,
        "input_tokens": 2000,
        "cached_input_tokens": 800,
        "output_tokens": 400,
        "cost_nanousd": 2 * COST,
        "computed_nanousd": 2 * COST,
        "saved_cache_nanousd": 2 * COST,
        "without_nanousd": 4 * COST,
        "unpriced": 0,
        "lost": 0,
    }
    assert {name: total[name] for name in expected} == expected
    assert [(line["route"], line["model"], line["requests"]) for line in document["lines"]] == [
        ("cached", "up/gpt-4o-mini", 3),
        ("default", "up/GPT-4o-mini", 1),
        ("default", None, 1),
    ]
    assert document["gaps"] == []


async def test_the_report_as_people_and_programs_read_it(books: Books) -> None:
    text = (await ran("report", "--ledger", books.url, "--by", "day,key")).output
    for words in ("tokens in", "anonymous", "spent", "saved 0.000480 of 0.000960 (50%)", "█", "stored answers"):
        assert words in text
    rows = list(csv.DictReader(io.StringIO((await ran("report", "--ledger", books.url, "--csv")).output)))
    assert [(row["route"], row["cost_nanousd"]) for row in rows] == [("cached", str(COST)), ("default", str(COST))]
    later = (await ran("report", "--ledger", books.url, "--since", "2037-01-01")).output
    assert later.startswith("No requests from 2037-01-01")


async def test_a_plan_stands_beside_the_ledger(books: Books) -> None:
    today = books.file("today.yaml", YAML.format(ledger=books.url, cache=", cache: {}", price=0.15))
    new = books.file("new.yaml", YAML.format(ledger=books.url, cache=", cache: {}", price=0.30))
    found = json.loads((await ran("plan", new, "-c", today, "--json")).output)
    ledger, again, other = (found[name]["routes"]["default"] for name in ("ledger", "today", "new"))
    assert (ledger["requests"], ledger["refused"], ledger["cost_nanousd"]) == (2, 1, COST)
    assert (again["cost_nanousd"], again["guessed"]) == (COST + 208 * 150 + 200 * 600, 1)
    assert other["cost_nanousd"] - again["cost_nanousd"] == (600 + 208) * 150
    assert found["new"]["routes"]["cached"]["unchanged"] == 3
    budget = ", budgets: [{usd: 1, per: total}]"
    capped = books.file("capped.yaml", YAML.format(ledger=books.url, cache=budget, price=900_000))
    found = json.loads((await ran("plan", capped, "-c", today, "--json")).output)
    assert (found["today"]["total"]["capped"], found["new"]["routes"]["default"]["capped"]) == (0, 2)
    text = (await ran("plan", new, "-c", today)).output
    for words in ("ledger", "today", "new", "dollars by route", "are guesses", "not in the new configuration"):
        assert words in text


async def test_the_bill_is_held_against_the_ledger(books: Books) -> None:
    day = (await ran("report", "--ledger", books.url, "--by", "day", "--csv")).output.splitlines()[1].split(",")[0]
    head = "start_time_iso,model,num_model_requests,input_tokens,input_cached_tokens,output_tokens\n"
    names = ("gpt-4o-mini-2024-07-18", "GPT-4o-mini")
    right = books.file("right.csv", head + "".join(f"{day},{name},1,1000,400,200\n" for name in names))
    agreed = await ran("reconcile", right, "--ledger", books.url)
    assert (agreed.exit_code, "agree within 1.0%" in agreed.output) == (0, True), agreed.output
    assert (await ran("reconcile", right, "--ledger", books.url, "--upstream", "up")).exit_code == 0
    slip = await ran("reconcile", right, "--ledger", books.url, "--upstream", "pu")
    assert (slip.exit_code, "no upstream is called 'pu'" in slip.output, "there are: up" in slip.output) == (
        1,
        True,
        True,
    )
    wrong = books.file("wrong.csv", head + f"{day},gpt-4o-mini,2,2000,400,200\n")
    found = await ran("reconcile", wrong, "--ledger", books.url, "--json")
    assert found.exit_code == 1
    assert [(each["model"], each["drift"]) for each in json.loads(found.output)] == [
        ("GPT-4o-mini", 1.0),
        ("gpt-4o-mini", 0.5),
    ]


async def test_a_process_that_was_killed_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url, ledger=url)) as gw:
        await gw.chat()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE ledger_writers SET closed_ms = NULL, seen_ms = seen_ms - 120000, dropped = 4")
    connection.close()
    (gap,) = json.loads((await ran("report", "--ledger", url, "--json")).output)["gaps"]
    assert (gap["is_dead"], gap["dropped"]) == (True, 4)


async def test_a_process_that_lives_is_not_dead_by_the_end_of_the_month(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url, ledger=url)) as gw:
        await gw.chat()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE ledger_writers SET closed_ms = NULL")
    connection.close()
    found = json.loads((await ran("report", "--ledger", url, "--until", "2099-01-01", "--json")).output)
    assert (found["total"]["requests"], found["gaps"]) == (1, [])


async def test_a_long_name_leaves_a_table_readable(tmp_path: Path) -> None:
    url, model = f"sqlite:///{tmp_path}/ledger.db", "m" * 200 + "-final"
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url, ledger=url)) as gw:
        await gw.chat(model=model)
    text = (await ran("report", "--ledger", url, "--by", "model")).output
    short = "up/" + "m" * 21 + "…" + "m" * 17 + "-final"
    assert max(map(len, text.splitlines())) < 180
    assert text.count(short) == 1
    rows = list(
        csv.DictReader(io.StringIO((await ran("report", "--ledger", url, "--by", "day,model", "--csv")).output))
    )
    assert [row["model"] for row in rows] == [f"up/{model}"]
    bill = tmp_path / "bill.csv"
    bill.write_text(f"day,model,requests\n{rows[0]['day']},{model},1\n")
    agreed = await ran("reconcile", str(bill), "--ledger", url)
    assert (agreed.exit_code, "m…m" in agreed.output, model in agreed.output) == (0, True, False)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["report", "--ledger", "sqlite:///nowhere/x.db"], "there is no ledger at nowhere/x.db"),
        (["report", "--by", "colour"], "expected some of route, model, tier"),
        (["report", "--since", "yesterday"], "expected 7d, 24h"),
        (["prices"], "name a MODEL"),
        (["report", "--ledger", "foo"], f"{EXPECTED}, got 'foo'"),
        (["report", "--ledger", "none"], f"{EXPECTED}, got 'none'"),
        (["report", "--ledger", "sqlite:///"], EXPECTED),
        (["report", "--ledger", "mysql://me:hunter2@db/x"], f"{EXPECTED}, got '…@db/x'"),
        (["report", "--ledger", "postgresql://me:hunter2@db:99999/x"], "expected a host and a port from 1 to 65535"),
        (["router", "train", "--out", "m.json", "--from-ledger", "foo"], f"error: ledger: {EXPECTED}"),
        (["reconcile", "latin.csv"], "latin.csv: expected text in UTF-8"),
        (["reconcile", "endless.csv"], "line 2: expected a day, a model and numbers"),
        (["reconcile", "latin.csv", "--tolerance", "nan"], "expected a number from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_said(
    args: list[str], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.csv").write_bytes(b"day,model,requests\n2026-11-22,caf\xe9,1\n")
    (tmp_path / "endless.csv").write_text("day,model,requests\n2026-11-22,gpt-5,inf\n")
    result = invoke(*args)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code in (1, 2)
    assert words in " ".join(result.output.split())
    assert "hunter2" not in result.output


def test_prices_say_what_applies_who_says_so_and_since_when(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(YAML.format(ledger="none", cache="", price=0.2))
    said = invoke("prices", "gpt-4o-mini", "openai/gpt-4.1", "claude-opus-4-6", "-c", str(file)).output
    for words in ("the configuration, prices: *4o-mini", "0.2", "openai: gpt-4.1", "priority", "since 2026-03-13"):
        assert words in said
    unknown = invoke("prices", "no-such-model")
    assert (unknown.exit_code, "no price known" in unknown.output) == (1, True)
    document = json.loads(invoke("prices", "openai/gpt-4o-mini", "--json").output)["openai/gpt-4o-mini"]
    assert (document["input"], document["cached_input"], document["output"]) == ("0.15", "0.075", "0.6")
    assert document["service_tiers"]["flex"] == 0.5


def test_a_configuration_is_read_without_the_secrets_it_wants(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    text = YAML.format(ledger="none", cache="", price=0.2)
    file.write_text(
        text.replace("v1}", "v1, api_key: '${NO_SUCH_KEY}'}").replace('v1"', 'v1", api_key: "${NO_SUCH_KEY}"')
    )
    assert invoke("prices", "gpt-4o-mini", "-c", str(file)).exit_code == 0
