"""Both lanes must give the same answers, so what is tested over sockets is tested over both."""

import pytest

from tests.support.gateway import LANE_VARIABLE, LANES, gateway


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of a module that starts gateways runs once with each lane."""
    if getattr(metafunc.module, "gateway", None) is gateway:
        metafunc.fixturenames.insert(0, "lane")
        metafunc.parametrize("lane", LANES, indirect=True)


@pytest.fixture
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(LANE_VARIABLE, request.param)
    return str(request.param)
