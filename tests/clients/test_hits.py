"""A client cannot tell a cached answer from a fresh one, whichever form of request it was filled by."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gateway.simulator.app import Simulator
from tests.clients.comparing import differences, has_failed, told
from tests.clients.driven import Client, Drivers
from tests.clients.matrix import CHAT, CLIENTS, PAIRS, USAGE, WEATHER, Scenario
from tests.clients.places import UPSTREAM_KEY, Place, before
from tests.support.gateway import gateway

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]

WHOLE = [
    pytest.param(client, scenario, id=f"{client.name}-{scenario.name.replace(' ', '_')}")
    for client, scenario in PAIRS
    if scenario.call in {"chat", "structured", "completions", "embeddings"}
    and not scenario.fails
    and not scenario.headers
]
SCOPES = (
    *("whole", "chat-chat_events", "chat_events-chat_events", "chat_events-chat"),
    *(f"coalesced-{one}-{other}" for one in ("chat", "chat_events") for other in ("chat", "chat_events")),
)
"""Names of keys: answers are shared within one, so that tests do not answer one another's questions."""


@dataclass(frozen=True, slots=True)
class Cached:
    """The simulator, and a gateway before it that keeps the answers of each key apart."""

    simulator: Simulator
    gateway_url: str

    @property
    def direct(self) -> Place:
        return Place(self.simulator.base_url, UPSTREAM_KEY)

    def place(self, client: Client, scope: str) -> Place:
        return Place(self.gateway_url, _key(client, scope))


def _key(client: Client, scope: str) -> str:
    return f"sk-{client.name}-{scope}-0123456789"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cached() -> AsyncIterator[Cached]:
    keys = [{"name": f"{client.name}-{scope}", "key": _key(client, scope)} for client in CLIENTS for scope in SCOPES]
    routes = [{"name": "default", "upstream": "up", "cache": {"ttl_s": 3600, "share": "key"}}]
    async with (
        Simulator(key=UPSTREAM_KEY) as simulator,
        gateway(before(simulator.base_url, routes=routes, keys=keys)) as gw,
    ):
        yield Cached(simulator, f"{gw.url}/v1")


@pytest.mark.parametrize(("client", "scenario"), WHOLE)
async def test_a_hit_is_as_good_as_a_fresh_answer(
    client: Client, scenario: Scenario, drivers: Drivers, cached: Cached
) -> None:
    driver = await drivers.of(client)
    place = cached.place(client, "whole")
    direct = await driver.play(cached.direct.task(scenario))
    await driver.play(place.task(scenario))
    asked = len(cached.simulator.calls)
    hit = await driver.play(place.task(scenario))
    assert len(cached.simulator.calls) == asked
    assert differences(told(direct), told(hit)) == []


@pytest.mark.parametrize("client", [pytest.param(c, id=c.name) for c in CLIENTS if "chat_events" in c.calls])
@pytest.mark.parametrize(
    "arguments", [CHAT, {**CHAT, "n": 2, "logprobs": True}, WEATHER], ids=["text", "many", "tools"]
)
@pytest.mark.parametrize(
    ("fill", "call"), [("chat", "chat_events"), ("chat_events", "chat_events"), ("chat_events", "chat")]
)
async def test_a_hit_of_either_form_amounts_to_the_same(
    client: Client, fill: str, call: str, arguments: dict[str, Any], drivers: Drivers, cached: Cached
) -> None:
    """The chunks of a stream may be cut in other places; the whole that a client makes of them is the same."""
    driver = await drivers.of(client)
    place = cached.place(client, f"{fill}-{call}")
    filling, asking = (
        Scenario(name, name, {**arguments, **(USAGE if name == "chat_events" else {})}) for name in (fill, call)
    )
    direct = await driver.play(cached.direct.task(asking))
    await driver.play(place.task(filling))
    asked = len(cached.simulator.calls)
    hit = await driver.play(place.task(asking))
    assert len(cached.simulator.calls) == asked
    assert not has_failed(hit), hit
    assert differences(_whole(told(direct)["parts"][-1]), _whole(told(hit)["parts"][-1])) == []


@pytest.mark.parametrize("client", [pytest.param(c, id=c.name) for c in CLIENTS if c.is_openai])
@pytest.mark.parametrize(
    "arguments", [CHAT, {**CHAT, "n": 2, "logprobs": True}, WEATHER], ids=["text", "many", "tools"]
)
@pytest.mark.parametrize("opened_by", ["chat", "chat_events"])
@pytest.mark.parametrize("call", ["chat", "chat_events"])
async def test_an_answer_shared_with_another_client_amounts_to_the_same(
    client: Client, opened_by: str, call: str, arguments: dict[str, Any], drivers: Drivers, cached: Cached
) -> None:
    """Whether it was asked first, read along, or came when the answer was there: one upstream call, one meaning."""
    driver = await drivers.of(client)
    place = cached.place(client, f"coalesced-{opened_by}-{call}")
    asking = Scenario(call, call, {**arguments, **(USAGE if call == "chat_events" else {})})
    direct = await driver.play(cached.direct.task(asking))
    asked = len(cached.simulator.calls)
    _, coalesced = await asyncio.gather(
        _post(place, {**arguments, "stream": opened_by == "chat_events"}), driver.play(place.task(asking))
    )
    assert len(cached.simulator.calls) == asked + 1
    assert not has_failed(coalesced), coalesced
    assert differences(_whole(told(direct)["parts"][-1]), _whole(told(coalesced)["parts"][-1])) == []


async def _post(place: Place, body: dict[str, Any]) -> None:
    """The same request from somebody else."""
    headers = {"Authorization": f"Bearer {place.key}"}
    url = f"{place.base_url}/chat/completions"
    async with aiohttp.ClientSession() as http, http.post(url, json=body, headers=headers) as response:
        await response.read()


def _whole(answer: dict[str, Any]) -> dict[str, Any]:
    """Without `annotations` that are empty: those stand in answers that come whole, not in streams."""
    for choice in answer["choices"]:
        if not choice["message"].get("annotations"):
            choice["message"].pop("annotations", None)
    return answer
