"""The frame of the admin API: who may ask, and what it says to whom may not."""

import json
import re
from pathlib import Path
from typing import cast

import pytest

from gateway import __version__
from gateway.config.load import parse
from gateway.server.admin import admin_app
from gateway.server.crew import Crew
from tests.support.config import SMALL
from tests.support.gateway import ADMIN_KEY, config, gateway
from tests.support.upstream import ScriptedUpstream

KEYED = {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}}


async def test_an_operator_sees_what_runs() -> None:
    async with ScriptedUpstream() as upstream, gateway(config(upstream.base_url, server=KEYED)) as gw:
        answer = await gw.admin("GET", "/admin/status")
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        status = answer.json()
        [process] = status.pop("processes")
        assert status == {"status": "ready", "version": __version__}
        assert set(process) == {"pid", "config", "uptime_s"}


async def test_no_answer_tells_what_software_serves_it() -> None:
    async with gateway(config("http://127.0.0.1:1/v1", server=KEYED)) as gw:
        for path in ("/healthz", "/metrics", "/admin/status", "/nowhere", "/ui"):
            assert (await gw.admin("GET", path)).headers.getall("Server") == ["llm-gateway"], path


@pytest.mark.parametrize("key", [None, "another-key", ADMIN_KEY + "x", "\u00fc"])
@pytest.mark.parametrize("path", ["/admin/status", "/admin/nowhere", "/admin"])
async def test_without_the_key_everything_under_admin_is_the_same_401(path: str, key: str | None) -> None:
    async with ScriptedUpstream() as upstream, gateway(config(upstream.base_url, server=KEYED)) as gw:
        answer = await gw.admin("GET", path, key=key)
        assert answer.status == 401
        assert answer.error["code"] == "invalid_api_key"
        assert "server.admin.key" in answer.error["message"]


async def test_the_description_of_the_api_names_every_url_of_it() -> None:
    async with ScriptedUpstream() as upstream, gateway(config(upstream.base_url, server=KEYED)) as gw:
        document = (await gw.admin("GET", "/admin/openapi.json")).json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    app = admin_app(cast(Crew, None), parse(SMALL, source="", env={}, folder=Path()).config)
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert described == {(method, path) for method, path in served if path.startswith("/admin")}
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert referred <= set(document["components"]["schemas"])


async def test_probes_and_metrics_need_no_key() -> None:
    async with ScriptedUpstream() as upstream, gateway(config(upstream.base_url, server=KEYED)) as gw:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await gw.admin("GET", path, key=None)).status == 200


async def test_without_a_configured_key_the_admin_api_is_off_and_says_so() -> None:
    async with ScriptedUpstream() as upstream, gateway(config(upstream.base_url)) as gw:
        answer = await gw.admin("GET", "/admin/status")
        assert answer.status == 404
        assert "server.admin.key" in answer.error["message"]


async def test_the_admin_api_is_not_on_the_traffic_port() -> None:
    async with ScriptedUpstream() as upstream, gateway(config(upstream.base_url, server=KEYED)) as gw:
        for path in ("/admin/status", "/v1/../admin/status", "//admin/status", "/v1/%2e%2e/admin/status"):
            answer = await gw.request("GET", path, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
            assert b"uptime_s" not in answer.body
