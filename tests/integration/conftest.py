"""Both lanes must give the same answers, so what is tested over sockets is tested over both."""

from pathlib import Path

import pytest

from gateway.migrations.upgrade import upgrade
from tests.support.gateway import LANE_VARIABLE, LANES, gateway
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of a module that starts gateways runs once with each lane."""
    if getattr(metafunc.module, "gateway", None) is gateway:
        metafunc.fixturenames.insert(0, "lane")
        metafunc.parametrize("lane", LANES, indirect=True)


@pytest.fixture
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(LANE_VARIABLE, request.param)
    return str(request.param)


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Both stores; the real redis-server is started only where it is wanted."""
    if request.param == "memory":
        return "memory"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with its tables; that a gateway makes them itself is tested with `sql`."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.url
    upgrade(url)
    return url
