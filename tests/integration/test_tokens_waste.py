"""The $12,000 space, played: a template begins to put its context in twice, and the gateway says so."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.record import Record
from gateway.tokens.count import TokenCounter
from gateway.tokens.watch import Wasted, WasteWatch
from gateway.values import Request, Target, Usage
from tests.support.gateway import RunningGateway, config, gateway
from tests.support.tokens import encodings
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(400, 2)))
WORDS = ["order", "parcel", "refund", "invoice", "address", "window", "delivery", "Tuesday", "label", "carrier"]
NORMAL, BROKEN = 160, 20


def prompt(seed: int, *, is_broken: bool) -> list[dict[str, str]]:
    """Instructions, two to four documents that were found, and a question; the bug: a blank, and all of them again."""
    rng = random.Random(seed)
    sentences = (" ".join(rng.choices(WORDS, k=12)).capitalize() + "." for _ in range(rng.randint(20, 40)))
    context = "\n".join(sentences)
    if is_broken:
        context = f"{context} \n{context}"
    question = f"What does document {seed} say about the {rng.choice(WORDS)}?"
    return [
        {"role": "system", "content": "You answer from the documents below."},
        {"role": "user", "content": f"{context}\n\n{question}"},
    ]


async def send(gw: RunningGateway, seeds: range, *, is_broken: bool) -> None:
    for seed in seeds:
        await gw.chat(model="gpt-4o", messages=prompt(seed, is_broken=is_broken))


async def test_a_template_that_doubles_its_context_is_noticed_within_20_requests() -> None:
    labels: dict[str, Any] = {"route": "default"}
    async with ScriptedUpstream(*[ANSWER] * (NORMAL + BROKEN)) as up, gateway(config(up.base_url)) as gw:
        await send(gw, range(NORMAL), is_broken=False)
        before = await gw.metrics()
        assert before("gateway_wasted_tokens_total", kind="repeat", **labels) == 0
        assert before("gateway_prompt_length_anomalies_total", **labels) == 0

        await send(gw, range(NORMAL, NORMAL + BROKEN), is_broken=True)
        await gw.until(lambda scrape: scrape("gateway_wasted_tokens_total", kind="repeat", **labels) > 0)
        after = await gw.metrics()
        assert after("gateway_prompt_length_anomalies_total", **labels) >= 5
        assert after("gateway_wasted_usd_total", kind="repeat", **labels) > 0


class Looks:
    """A watch that never pauses, and what it has reported."""

    def __init__(self, counter: TokenCounter) -> None:
        self.reports: asyncio.Queue[Wasted] = asyncio.Queue()
        self.watch = WasteWatch(counter, self.reports.put_nowait, share=1)

    def offer(self, text: str, cached_input: int = 0) -> None:
        fields = {"messages": [{"role": "user", "content": text}]}
        record = Record("r", "chat", 0.0, 0.0, route="default", target=Target("up", "gpt-4o"))
        record.usage = Usage(2_400, 2, cached_input=cached_input)
        self.watch.offer(record, Request("chat", json.dumps(fields).encode(), fields, "gpt-4o"))

    async def next(self) -> dict[str, int]:
        async with asyncio.timeout(5):
            return dict((await self.reports.get()).tokens)


@pytest.fixture
async def looks() -> AsyncIterator[Looks]:
    counter = TokenCounter(encodings())
    looks = Looks(counter)
    async with looks.watch:
        yield looks
    counter.close()


async def test_a_shared_beginning_is_wasted_as_far_as_the_upstream_did_not_have_it_cached(looks: Looks) -> None:
    manual = " ".join(f"Rule {n}: be kind to customers." for n in range(300))
    found = []
    for n in range(8):
        looks.offer(f"{manual} Question {n}?  ", cached_input=2_000 if n == 7 else 0)
        found.append(await looks.next())
    assert found[:5] == [{"trailing": 1}] * 5
    assert found[5] == found[6]
    assert found[6]["prefix"] - found[7]["prefix"] == 2_000


async def test_on_a_busy_route_the_latest_request_stands_for_the_others(looks: Looks) -> None:
    for n in range(4):
        looks.offer(f"Question {n}?" + "  " * (n == 3))
    assert await looks.next() == {"trailing": 4}


async def test_hostile_text_does_not_end_the_watch(looks: Looks) -> None:
    for text in ("\ud800   \n" * 5_000, "[\n" * 30_000, '{"a":\n' * 20_000, " " * 200_000):
        looks.offer(f"a     b {text}")
        assert sum((await looks.next()).values()) > 0


async def test_the_command_shows_what_a_running_gateway_has_seen() -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw:
        await gw.chat(model="gpt-4o", messages=[{"role": "user", "content": "one   \ntwo     words\n\n\n\n\n" * 20}])
        await gw.until(lambda scrape: scrape("gateway_wasted_tokens_total", route="default", kind="runs") > 0)
        command = ["waste", "--admin", gw.admin_url]
        shown = await asyncio.to_thread(CliRunner().invoke, main, command)
        as_json = await asyncio.to_thread(CliRunner().invoke, main, [*command, "--json"])
    assert re.match(r"default: 1 requests, [\d,]+ tokens, \d+ wasted \(\d+\.\d%\)\nkind  ", shown.output)
    found = json.loads(as_json.output)
    assert set(found["wasted"]) == {"trailing", "runs"}
    runs = found["wasted"]["runs"]
    assert runs["usd"] == pytest.approx(runs["tokens"] * 2.5e-6)
    assert runs["usd_per_million_requests"] == pytest.approx(runs["usd"] * 1e6)


def test_the_command_says_where_no_gateway_is() -> None:
    result = CliRunner().invoke(main, ["waste", "--admin", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "no gateway answers at http://127.0.0.1:1" in result.output
    assert CliRunner().invoke(main, ["waste", "--admin", "localhost:8081"]).exit_code == 2


def test_a_file_is_looked_through_and_fragments_are_located_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "bodies.jsonl"
    layout = json.dumps({"customer": "Anna Maria", "items": [1, 2, 3]}, indent=4)
    bodies = [
        {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Order:\n{layout}"}]},
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "fine"}, {"role": "user", "content": "bye    "}]},
    ]
    file.write_text("\n".join(map(json.dumps, bodies)))
    found = json.loads(CliRunner().invoke(main, ["waste", str(file), "--json"]).output)
    assert (found["requests"], found["unusually_long"]) == (2, 0)
    assert [(place["line"], place["label"], place["offset"], place["kind"]) for place in found["places"]] == [
        (1, "messages[0]", 7, "json"),
        (2, "messages[1]", 3, "trailing"),
    ]
    assert found["wasted"]["json"]["tokens"] == found["places"][0]["tokens"] > 5
    shown = CliRunner().invoke(main, ["waste", str(file), "--places", "1"]).output
    assert "line 1  messages[0]  offset 7" in shown
    assert shown.rstrip().endswith("and 1 more places (--places)")
    assert "Anna" not in shown


def test_without_a_price_tokens_are_shown_alone() -> None:
    body = json.dumps({"model": "nobody-knows-this", "messages": [{"role": "user", "content": "bye    "}]})
    shown = CliRunner().invoke(main, ["waste", "-"], input=body).output
    assert re.search(r"trailing +1 +no price known", shown)
