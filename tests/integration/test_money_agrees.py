"""Headers, metrics, ledger and report say the same, to the nano-dollar, whatever becomes of requests.

Random mixes of streams, hits, shared calls, errors, retries, fallbacks, cut answers and clients that hang up are
played against two upstreams; then every sum is made three times over.
"""

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.accounting.report import report
from gateway.migrations.upgrade import upgrade
from gateway.values import NANO
from tests.support.gateway import CHAT, RunningGateway, Scrape, gateway
from tests.support.upstream import Reply, Reset, ScriptedUpstream, Seen, Step, Stream, chat_body, chat_chunks, usage

ERROR = {"error": {"message": "No.", "type": "server_error", "param": None, "code": None}}
TRIES = ("ok", "ok", "ok", "500", "429", "400", "reset", "silent", "cut", "error event", "odd usage")
"""What an upstream may do with a call."""


@dataclass(frozen=True)
class Ask:
    """One request, or two at once."""

    model: str
    prompt: int
    is_stream: bool
    tries: tuple[str, ...]
    """What its tries meet, in order; after them all is well."""
    tokens: tuple[int, int, int, int]
    """Input, cached, output, reasoning, as the upstream reports them."""
    manner: str = "stays"
    """`stays`, `leaves` in the middle of a stream, or comes with a `twin`."""


counts = st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**5))
asks = st.builds(
    Ask,
    model=st.sampled_from(["auto", "gpt-5.2", "gpt-4o-mini", "unheard-of"]),
    prompt=st.integers(0, 2),
    is_stream=st.booleans(),
    tries=st.lists(st.sampled_from(TRIES), max_size=3).map(tuple),
    tokens=counts,
    manner=st.sampled_from(["stays", "stays", "stays", "leaves", "twin"]),
)


@dataclass
class Upstreams:
    """Both of them play what the request under way says."""

    ask: Ask | None = None
    tries: list[str] = field(default_factory=list)

    def next(self, ask: Ask) -> None:
        self.ask, self.tries = ask, list(ask.tries)

    async def __call__(self, seen: Seen) -> Step:
        assert self.ask is not None
        if self.ask.manner == "twin":
            await asyncio.sleep(0)
        body = json.loads(seen.body)
        how = self.tries.pop(0) if self.tries else "ok"
        return played(how, self.ask, is_stream=bool(body.get("stream")))


def played(how: str, ask: Ask, *, is_stream: bool) -> Step:
    if how.isdigit():
        return Reply.of(ERROR, int(how))
    if how == "reset":
        return Reset()
    read, cached, written, thought = ask.tokens
    told = None if how == "silent" else usage(read, written, min(read, cached), min(written, thought))
    if how == "odd usage":
        told = {**usage(read, written), "prompt_tokens": -1, "cost": 0.001}
    if not is_stream:
        return Reply.of({**chat_body("Hello.", usage=told), "service_tier": "flex" if read % 2 else "default"})
    chunks = chat_chunks("Hel", "lo", usage=told)
    if ask.manner == "leaves":
        return Stream.of(*chunks[:2], asyncio.Event())  # it never goes on
    if how == "cut":
        return Stream.of(*chunks[:2], done=False, cut=True)
    if how == "error event":
        return Stream.of(*chunks[:2], ERROR, done=False)
    return Stream.of(*chunks)


def document(a: str, b: str, ledger: str) -> dict[str, Any]:
    patient = {"failures": 1000}
    retries = {"attempts": 3, "backoff_s": 0.001, "budget_ratio": 1}
    upstreams = {
        name: {"base_url": url, "api_key": "secret-of-the-upstream", "retries": retries, "breaker": patient}
        for name, url in (("a", a), ("b", b))
    }
    return {
        "server": {"port": 0, "admin": {"port": 0}},
        "ledger": ledger,
        "auth": "none",
        "upstreams": upstreams,
        "tiers": {"cheap": ["a/gpt-5-mini", "b/gpt-5-mini"], "expensive": ["a/gpt-5.2", "b/gpt-5.2"]},
        "routes": [
            {"name": "smart", "match": {"models": ["auto"]}, "tier": "auto", "cache": {}},
            {"name": "plain", "match": {"models": ["gpt-5.2"]}, "tier": "expensive"},
            {"name": "default", "upstream": "a", "cache": {}, "tokens": {"trim": "trailing"}},
        ],
    }


async def play(asked: list[Ask], file: Path) -> None:
    heard: dict[str, int] = {}
    meet = Upstreams()
    async with (
        ScriptedUpstream(then=meet) as a,
        ScriptedUpstream(then=meet) as b,
        gateway(document(a.base_url, b.base_url, f"sqlite:///{file}")) as gw,
    ):
        sent = 0
        for ask in asked:
            meet.next(ask)
            twins = 2 if ask.manner == "twin" else 1
            await asyncio.gather(*(send(gw, ask, heard) for _ in range(twins)))
            sent += twins
            await gw.until(finished(sent))
        scrape = await gw.metrics()
    compare(heard, scrape, ledger_rows(file, "ledger"), ledger_rows(file, "ledger_attempts"))
    await compare_report(file)


def finished(sent: int) -> Callable[[Scrape], bool]:
    return lambda scrape: total(scrape, "gateway_requests_total") == sent


async def send(gw: RunningGateway, ask: Ask, heard: dict[str, int]) -> None:
    """What the header of a whole answer says it cost goes to `heard`, by request id."""
    message = {"role": "user", "content": f"What is {ask.prompt}?  "}
    body = {"model": ask.model, "messages": [message], "stream": ask.is_stream}
    try:
        async with gw.http.post(gw.url + CHAT, json=body) as answer:
            if ask.manner == "leaves" and ask.is_stream:
                await answer.content.readany()
                answer.close()
                return
            await answer.read()
            if "x-gateway-cost-usd" in answer.headers:
                heard[answer.headers["x-request-id"]] = nanousd(answer.headers["x-gateway-cost-usd"])
    except aiohttp.ClientError:
        pass


def nanousd(usd: str) -> int:
    whole, _, part = usd.partition(".")
    return int(whole) * NANO + int(part.ljust(9, "0"))


def ledger_rows(file: Path, table: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(file)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    connection.close()
    return rows


def total(scrape: Scrape, name: str) -> float:
    return sum(value for (sample, _), value in scrape.samples.items() if sample == name)


def by(scrape: Scrape, name: str, *labels: str, parts: int = 1) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for (sample, given_), value in scrape.samples.items():
        if sample == name:
            found[tuple(dict(given_)[label] for label in labels)] += round(value * parts)
    return found


def compare(heard: dict[str, int], scrape: Scrape, rows: list[dict[str, Any]], attempts: list[dict[str, Any]]) -> None:
    by_id = {row["request_id"]: row for row in rows}
    assert {name: by_id[name]["cost_nanousd"] or 0 for name in heard} == heard

    requests, cost, tokens, saved = (Counter[tuple[str, ...]]() for _ in range(4))
    for row in rows:
        requests[row["route"], row["tier"] or "none", str(row["status"])] += 1
        if row["cost_nanousd"] is not None:
            cost[row["route"], row["tier"], row["cost_source"]] += row["cost_nanousd"]
        for reason in ("cache", "coalesced", "tier", "trim"):
            saved[row["route"], reason] += row[f"saved_{reason}_nanousd"]
        if row["input_tokens"] is not None and row["cache"] not in ("hit", "coalesced"):
            tokens[row["route"], "input"] += row["input_tokens"] - row["cached_input_tokens"]
            tokens[row["route"], "cached_input"] += row["cached_input_tokens"]
            tokens[row["route"], "output"] += row["output_tokens"]
            tokens[row["route"], "reasoning"] += row["reasoning_tokens"]
    assert by(scrape, "gateway_requests_total", "route", "tier", "code") == requests
    assert +by(scrape, "gateway_cost_usd_total", "route", "tier", "source", parts=NANO) == +cost
    assert +by(scrape, "gateway_saved_usd_total", "route", "reason", parts=NANO) == +saved
    assert +by(scrape, "gateway_tokens_total", "route", "type") == +tokens
    assert total(scrape, "gateway_price_unknown_total") == sum(row["price_unknown"] for row in rows)
    tried = Counter((attempt["target"].split("/")[0], attempt["outcome"]) for attempt in attempts)
    assert by(scrape, "gateway_upstream_attempts_total", "upstream", "outcome") == tried


async def compare_report(file: Path) -> None:
    rows = ledger_rows(file, "ledger")
    found = await report(f"sqlite:///{file}", ("route", "model", "day"), since_ms=0, until_ms=1 << 60)
    whole = found.total
    assert whole.requests == len(rows)
    assert whole.cost_nanousd == sum(row["cost_nanousd"] or 0 for row in rows)
    assert whole.cost_nanousd == whole.reported_nanousd + whole.computed_nanousd + whole.estimated_nanousd
    reasons = ("cache", "coalesced", "tier", "trim")
    assert whole.saved_nanousd == sum(row[f"saved_{reason}_nanousd"] for row in rows for reason in reasons)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A ledger with its tables, to be copied."""
    file = tmp_path / "empty.db"
    upgrade(f"sqlite:///{file}")
    return file


EVERY_WAY = [
    Ask("auto", 0, False, (), (1000, 400, 200, 50)),
    Ask("auto", 0, True, (), (1, 0, 1, 0)),
    Ask("gpt-5.2", 1, False, ("500", "reset"), (999, 0, 7, 0)),
    Ask("gpt-5.2", 1, True, ("429", "ok"), (999, 1, 7, 3)),
    Ask("gpt-4o-mini", 1, True, ("silent",), (10, 0, 10, 0)),
    Ask("gpt-4o-mini", 2, True, ("cut",), (10, 0, 10, 0)),
    Ask("gpt-4o-mini", 2, True, ("error event",), (10, 0, 10, 0)),
    Ask("gpt-4o-mini", 2, False, ("odd usage",), (10, 0, 10, 0)),
    Ask("unheard-of", 0, False, (), (10, 0, 10, 0)),
    Ask("auto", 1, True, (), (10, 0, 10, 0), "leaves"),
    Ask("auto", 2, False, (), (10**6, 5, 10**5, 0), "twin"),
    Ask("auto", 1, True, (), (12, 5, 10**5, 0), "twin"),
    Ask("gpt-4o-mini", 0, False, ("400",), (1, 1, 1, 1)),
]


def test_all_sums_agree_over_every_kind_of_end(empty: Path) -> None:
    file = Path(shutil.copy(empty, empty.with_name("ledger.db")))
    asyncio.run(play(EVERY_WAY, file))


def test_all_sums_agree_over_any_mix(empty: Path) -> None:
    numbers = iter(range(10**6))

    @settings(max_examples=5)
    @given(st.lists(asks, min_size=1, max_size=12))
    def agree(asked: list[Ask]) -> None:
        file = Path(shutil.copy(empty, empty.with_name(f"{next(numbers)}.db")))
        asyncio.run(play(asked, file))

    agree()
