"""The dashboard: every query parses, names metrics that exist, and shows something while a Prometheus scrapes us."""

import asyncio
import importlib.util
import json
import os
import random
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.config.load import load
from gateway.config.model import Config
from gateway.demo import sample, shipped
from gateway.demo.drive import drive
from gateway.server.run import Serving, running
from gateway.simulator.app import Simulator
from gateway.sql import Database
from gateway.telemetry.metrics import Metrics
from gateway.tokens.encodings import Encodings
from gateway.values import NANO
from tests.deploy.promtool import DEPLOY, PROMETHEUS, promtool

FILE = DEPLOY / "grafana" / "dashboards" / "gateway.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
RULES = [yaml.safe_load(path.read_text()) for path in (PROMETHEUS / "rules").glob("*.yml")]
TABLE = {metric.name: metric for metric in Metrics(str).table}
UNWATCHED: dict[str, str] = {}
"""Metrics that neither a panel nor an alert uses, and why. None."""

NEEDS_LABELS = {"gateway_router_drift", "gateway_router_brier", "gateway_router_bias"} | {
    f"gateway_semantic_{what}" for what in ("wrong_ratio", "state", "embedding_seconds")
}
"""Absent before there are hundreds of decisions, or 50 labels of shadow calls, which the demo does not make; or without
a semantic cache, which it does not have."""


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries(*, route: str = ".*", model: str = ".*", window: str = "1m") -> Iterator[tuple[str, str]]:
    """Panel and PromQL, with Grafana's variables filled in."""
    given = {"$__rate_interval": window, "$__range": window, "$route": route, "$model": model}
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in given.items():
                query = query.replace(name, value)
            yield panel["title"], query


def rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in file["groups"] for rule in group["rules"]]


def metrics_in(text: str) -> set[str]:
    """Metrics of ours, by the names of the table: a histogram's samples are its own."""
    named = set(re.findall(r"(?<![\w:])gateway_\w+", text))
    return {name if name in TABLE else re.sub(r"_(bucket|sum|count)$", "", name) for name in named}


def test_the_file_is_what_its_program_writes() -> None:
    spec = importlib.util.spec_from_file_location("dashboard", DEPLOY / "grafana" / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.dashboard() == DASHBOARD, "run deploy/grafana/dashboard.py"


def test_every_query_parses(tmp_path: Path) -> None:
    found = [{"record": f"panel:{number}", "expr": query} for number, (_, query) in enumerate(queries())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": found}]}))
    assert f"SUCCESS: {len(found)} rules found" in promtool("check", "rules", str(tmp_path / "panels.yml"))


def test_only_metrics_that_exist_are_named() -> None:
    expressions = [query for _, query in queries()] + [rule["expr"] for rule in rules()]
    assert {name for expression in expressions for name in metrics_in(expression)} - TABLE.keys() == set()


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    watched = set().union(
        *(metrics_in(query) for _, query in queries()), *(metrics_in(rule["expr"]) for rule in rules())
    )
    assert TABLE.keys() - watched == UNWATCHED.keys()


def test_labels_that_are_asked_for_are_labels_of_the_metric() -> None:
    for title, query in queries():
        for name, braces in re.findall(r"(gateway_\w+)\{([^}]*)\}", query):
            (metric,) = metrics_in(name)
            asked = set(re.findall(r"(\w+)=", braces))
            assert asked <= {*TABLE[metric].labels, "le"}, title


def test_panels_say_what_they_mean_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "$datasource"
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "route", "model"}


# ------------------------------------------------------------------ with a real Prometheus

SCRAPE_S = 1
REQUESTS = 96


class Prometheus:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def query(self, promql: str) -> list[dict[str, Any]]:
        async with self._http.post(f"{self._url}/api/v1/query", data={"query": promql}) as reply:
            answer = await reply.json()
        assert answer["status"] == "success", f"{promql}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def numbers(self, promql: str) -> list[float]:
        return [float(series["value"][1]) for series in await self.query(promql)]

    async def until(self, promql: str, count: int) -> None:
        """Poll until the query's only number is at least `count`."""
        async with asyncio.timeout(30):
            while not await self._reaches(promql, count):
                pass

    async def _reaches(self, promql: str, count: int) -> bool:
        await asyncio.sleep(SCRAPE_S / 4)
        return any(number >= count for number in await self.numbers(promql))


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """Started with the shipped configuration, but for where the gateway is and how often all is looked at: when a
    group of rules has its first turn within its interval depends on the path of its file."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no prometheus here: apt-get install prometheus")
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    config["rule_files"] = [str(folder / "*.rules.yml")]
    for file in (PROMETHEUS / "rules").glob("*.yml"):
        rules = yaml.safe_load(file.read_text())
        for group in rules["groups"]:
            group["interval"] = f"{SCRAPE_S}s"
        (folder / f"{file.stem}.rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    child = await asyncio.create_subprocess_exec(
        *(binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"),
        *("--web.listen-address=127.0.0.1:0", "--log.level=info"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stderr is not None
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http, asyncio.timeout(60):
            url = ""
            while not url:
                line = (await child.stderr.readline()).decode()
                assert line, "Prometheus ended"
                if found := re.search(r'msg="Listening on" address=(127\.0\.0\.1:\d+)', line):
                    url = f"http://{found[1]}"
            reading = asyncio.create_task(_drain(child.stderr))  # a full pipe would stop it
            try:
                yield Prometheus(url, http)
            finally:
                reading.cancel()
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        await child.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[tuple[Serving, Config]]:
    """The demo's gateway and upstream, with a budget and the cost breaker so that every panel has its subject."""
    encodings = Encodings()
    async with Simulator(first_token_ms=5, keep_calls=0, encodings=encodings) as simulator:
        document = yaml.safe_load(shipped.config_file("demo.yaml").read_text())
        document["server"] = {"port": 0, "admin": {"port": 0}}
        document["ledger"] = f"sqlite:///{folder}/ledger.db"
        document["routes"][0]["budgets"] = [{"usd": 1000, "per": "month"}]
        document["cost_breaker"] = True
        (folder / "demo.yaml").write_text(yaml.safe_dump(document))
        loaded = load(folder / "demo.yaml", {"SIMULATOR_URL": simulator.base_url})
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            async with running(loaded, encodings=encodings, log_fd=nowhere) as serving:
                yield serving, loaded.config
        finally:
            os.close(nowhere)


@pytest.mark.timeout(180)
async def test_no_panel_is_empty_under_the_demos_load_and_the_dollars_are_the_ledgers(tmp_path: Path) -> None:
    async with demo(tmp_path) as (serving, config), prometheus(tmp_path, serving.admin_url[7:]) as prom:
        ways = sample.ways(config)
        for turn in (1, 2):  # what grew since a scrape has a rate
            waves = sample.waves(shipped.prompts(), ways, REQUESTS, random.Random(turn))
            outcome = await drive(f"{serving.url}/v1", waves, lambda: None)
            assert outcome.failures == []
            await prom.until("sum(gateway_requests_total)", turn * REQUESTS)
        await prom.until("count(route:gateway_requests:rate1h)", 3)

        empty = []
        for title, query in queries():
            numbers = await prom.numbers(query)
            if not any(number == number for number in numbers) and not metrics_in(query) & NEEDS_LABELS:
                empty.append((title, query))
        assert empty == []
        narrowed = dict(queries(route="support", model="gpt-5-mini"))
        assert await prom.numbers(narrowed["Spend by model"]) != []
        assert await prom.query('ALERTS{alertstate="firing"}') == []

        async with Database(config.ledger) as database:
            await prom.until("sum(gateway_ledger_queued_rows) == bool 0", 1)
            [(rows, cost, saved)] = await database.fetch(
                "SELECT count(*), sum(cost_nanousd), sum(saved_cache_nanousd + saved_coalesced_nanousd"
                " + saved_tier_nanousd + saved_trim_nanousd) FROM ledger"
            )
        assert [round(dollars * NANO) for dollars in await prom.numbers("sum(gateway_cost_usd_total)")] == [cost]
        assert [round(dollars * NANO) for dollars in await prom.numbers("sum(gateway_saved_usd_total)")] == [saved]
        assert rows == 2 * REQUESTS
        assert min(cost, saved) > 0
