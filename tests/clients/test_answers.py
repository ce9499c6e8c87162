"""Real clients, each run twice: against a model API itself, and against the gateway before it.

Whatever a client makes of the answers (parsed results, events, exceptions) has to be the same both times,
but for what differs between any two answers: ids and times.
"""

import re
from typing import Any

import pytest

from tests.clients.comparing import differences, has_failed, told, without_stamps
from tests.clients.driven import Client, Drivers
from tests.clients.matrix import CHAT, CLIENTS, PAIRS, Scenario
from tests.clients.places import Places

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]

ADDED = re.compile(r"x-gateway-.*|x-request-id|x-upstream-request-id|server-timing|cache-status|age")
OF_THE_CONNECTION = frozenset({"date", "server", "content-length", "transfer-encoding", "connection", "keep-alive"})


@pytest.mark.parametrize(
    ("client", "scenario"), [pytest.param(c, s, id=f"{c.name}-{s.name.replace(' ', '_')}") for c, s in PAIRS]
)
async def test_the_gateway_makes_no_difference(
    client: Client, scenario: Scenario, drivers: Drivers, places: Places
) -> None:
    driver = await drivers.of(client)
    direct = await driver.play(places.direct.task(scenario))
    assert has_failed(direct) == scenario.fails, direct
    through = await driver.play(places.gateway.task(scenario))
    assert differences(told(direct), told(through)) == []


@pytest.mark.parametrize("client", [pytest.param(c, id=c.name) for c in CLIENTS if "raw" in c.calls])
async def test_body_and_headers_are_the_same_but_for_what_the_gateway_adds(
    client: Client, drivers: Drivers, places: Places
) -> None:
    driver = await drivers.of(client)
    scenario = Scenario("raw", "raw", CHAT)
    (direct,) = (await driver.play(places.direct.task(scenario))).parts
    (through,) = (await driver.play(places.gateway.task(scenario))).parts
    added = {name for name, _ in through["headers"] if ADDED.fullmatch(name)}
    assert added >= {"x-request-id", "x-upstream-request-id", "x-gateway-route", "server-timing"}
    assert _kept(through["headers"]) == _kept(direct["headers"])
    assert without_stamps(through["text"]) == without_stamps(direct["text"])
    assert through["status"] == direct["status"] == 200


def _kept(headers: list[Any]) -> list[Any]:
    return sorted(
        [name, value] for name, value in headers if name not in OF_THE_CONNECTION and not ADDED.fullmatch(name)
    )
