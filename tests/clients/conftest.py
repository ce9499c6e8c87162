"""The client matrix runs when asked for (`make test-clients`, pytest -m clients): it wants environments of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.simulator.app import Simulator
from tests.clients.driven import Drivers
from tests.clients.places import OWN_KEY, UPSTREAM_KEY, Place, Places, Scripted, before, scripted_upstream
from tests.support.gateway import gateway


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clients: drives other people's clients; `make test-clients` runs these")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if "clients" in str(config.option.markexpr) else True


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def places() -> AsyncIterator[Places]:
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(key=UPSTREAM_KEY))
        keyed = await stack.enter_async_context(gateway(before(simulator.base_url)))
        passing = await stack.enter_async_context(gateway(before(simulator.base_url, auth="passthrough", keys=[])))
        yield Places(
            Place(simulator.base_url, UPSTREAM_KEY),
            Place(f"{keyed.url}/v1", OWN_KEY),
            Place(f"{passing.url}/v1", UPSTREAM_KEY),
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scripted() -> AsyncIterator[Scripted]:
    async with scripted_upstream() as scripted:
        yield scripted


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def drivers(places: Places, scripted: Scripted) -> AsyncIterator[Drivers]:
    """The clients' processes, which end before the servers that they talk to."""
    drivers = Drivers()
    yield drivers
    await drivers.close()
