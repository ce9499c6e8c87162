"""The gateway in this process, over real sockets, from a configuration written as a test would like to read it."""

import io
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDict
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from gateway.clock import Clock
from gateway.config.load import Loaded, parse
from gateway.server.live import Changing
from gateway.server.run import running
from gateway.tokens.encodings import Encodings
from tests.support.polling import until

LANES = ("fast", "aiohttp")
"""What can serve inference. Every integration test that starts a gateway runs with each (see its conftest)."""
LANE_VARIABLE = "GATEWAY_TEST_LANE"

HELLO = [{"role": "user", "content": "hello"}]
ADMIN_KEY = "operators-admin-key"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDict[str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object; fails where the answer is none."""
        error = self.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return dict(error)


@dataclass(frozen=True, slots=True)
class RunningGateway:
    url: str
    admin_url: str
    http: aiohttp.ClientSession
    live: Changing

    async def reload(self, config: "str | Mapping[str, Any]", **env: str) -> None:
        """Put another configuration in force; its `server` section has no effect."""
        await self.live.prepare(loaded(config, env))
        self.live.commit()

    async def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        data = None if body is None else io.BytesIO(body)
        url = URL(self.url + path, encoded=True)
        async with self.http.request(method, url, data=data, headers=headers) as response:
            return Answer(response.status, CIMultiDict(response.headers), await response.read())

    async def chat(self, *, key: str | None = None, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        """One chat completion; without `messages` it says hello, without `model` to gpt-5-mini."""
        document = {"model": "gpt-5-mini", "messages": HELLO, **fields}
        given = dict(headers or {})
        if key is not None:
            given["Authorization"] = f"Bearer {key}"
        return await self.request("POST", CHAT, body=json.dumps(document).encode(), headers=given)

    async def metrics(self) -> "Scrape":
        async with self.http.get(self.admin_url + "/metrics") as response:
            return Scrape(await response.text())

    async def admin(self, method: str, path: str, body: Any = None, *, key: str | None = ADMIN_KEY) -> Answer:
        """One call of the admin API; for configurations whose `server.admin.key` is `ADMIN_KEY`."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        url = URL(self.admin_url + path, encoded=True)
        async with self.http.request(method, url, json=body, headers=headers) as response:
            return Answer(response.status, CIMultiDict(response.headers), await response.read())

    async def metric(self, name: str, **labels: str) -> float:
        """One sample; 0 where it does not exist yet."""
        return (await self.metrics())(name, **labels)

    async def until(self, holds: Callable[["Scrape"], bool]) -> None:
        """Scrape until `holds`, for what happens after an answer or without one; fails after 5 s."""
        await self.until_within(5, holds)

    async def until_within(self, seconds: float, holds: Callable[["Scrape"], bool]) -> None:
        async def is_so() -> bool:
            return holds(await self.metrics())

        await until(is_so, within_s=seconds)


class Scrape:
    """The samples of one scrape: `scrape("gateway_requests_total", route="default", …)`, all labels given."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """0 where there is no such sample yet."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)


@cache
def _encodings() -> Encodings:
    """Built once for all tests of a process."""
    return Encodings()


@asynccontextmanager
async def gateway(
    config: str | Mapping[str, Any], clock: Clock | None = None, /, **env: str
) -> AsyncIterator[RunningGateway]:
    """The gateway with `config` (YAML, or a document) on free ports; `${NAME}` in it comes from `env`.

    Without a `ledger` of its own it has none: no test writes where it stands.
    """
    has_lane = os.environ.get(LANE_VARIABLE, LANES[0]) == "fast"
    async with (
        running(loaded(config, env), encodings=_encodings(), has_lane=has_lane, clock=clock) as serving,
        aiohttp.ClientSession() as http,
    ):
        assert serving.live is not None
        yield RunningGateway(serving.url, serving.admin_url, http, serving.live)


def loaded(config: str | Mapping[str, Any], env: Mapping[str, str] | None = None) -> Loaded:
    """`config` as it would be read from a file, without one."""
    document = config if isinstance(config, str) else json.dumps(config)
    checked = parse(document, source="test.yaml", env=env or {}, folder=Path())
    if "ledger" not in checked.config.model_fields_set:
        checked = replace(checked, config=checked.config.model_copy(update={"ledger": "none"}))
    return checked


def config(upstream_url: str, **sections: Any) -> dict[str, Any]:
    """A small open configuration: one upstream `up`, one route `default`; `sections` replace or add to it."""
    return {
        "server": {"port": 0, "admin": {"port": 0}},
        "auth": "none",
        "upstreams": {"up": {"base_url": upstream_url, "api_key": "upstream-secret"}},
        "routes": [{"name": "default", "upstream": "up"}],
        **sections,
    }
