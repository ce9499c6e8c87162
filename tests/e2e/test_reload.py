"""`gateway serve` takes a changed configuration on SIGHUP or from its file, alone and with workers."""

import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support import polling
from tests.support.gateway import CHAT, HELLO, Scrape
from tests.support.process import Process, serving
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))
FREE_PORTS = ("--port", "0", "--admin-port", "0")


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(then=ANSWER) as upstream:
        yield upstream


def text(upstream: ScriptedUpstream, key: str = "the-first-key", extra: str = "") -> str:
    return (
        f"upstreams: {{up: {{base_url: '{upstream.base_url}'}}}}\n"
        "routes: [{name: default, upstream: up}]\n"
        f"ledger: none\nkeys: [{{name: bot, key: {key}}}]\n{extra}"
    )


async def status(gateway: Process, http: aiohttp.ClientSession, key: str) -> int:
    body = json.dumps({"model": "gpt-5-mini", "messages": HELLO})
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post(gateway.url + CHAT, data=body, headers=headers) as response:
        await response.read()
        return response.status


async def until(gateway: Process, http: aiohttp.ClientSession, holds: Callable[[Scrape], bool]) -> None:
    async def is_so() -> bool:
        async with http.get(gateway.admin_url + "/metrics") as response:
            return holds(Scrape(await response.text()))

    await polling.until(is_so)


def reloads(count: int, result: str = "ok") -> Callable[[Scrape], bool]:
    return lambda scrape: scrape("gateway_config_reloads_total", result=result) >= count


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sighup_changes_everything_but_the_server(
    tmp_path: Path, upstream: ScriptedUpstream, workers: str
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text(upstream))
    args = ("-c", str(file), "--workers", workers, *FREE_PORTS)
    async with serving(*args, cwd=tmp_path) as gateway, aiohttp.ClientSession() as http:
        assert await status(gateway, http, "the-first-key") == 200
        file.write_text(text(upstream, "the-second-key", "server: {max_in_flight: 7}"))
        gateway.child.send_signal(signal.SIGHUP)
        await until(gateway, http, reloads(1))
        assert [await status(gateway, http, key) for key in ("the-first-key", "the-second-key")] == [401, 200]

        file.write_text(text(upstream, "the-third-key", "tiers: {cheep: [up/x]}"))
        gateway.child.send_signal(signal.SIGHUP)
        await until(gateway, http, reloads(1, "refused"))
        assert [await status(gateway, http, key) for key in ("the-second-key", "the-third-key")] == [200, 401]

        gateway.child.terminate()
        _, told = await gateway.child.communicate()
        assert gateway.child.returncode == 0
        assert "server.max_in_flight has changed: that needs a restart" in told.decode()
        assert "tiers.cheep" in told.decode()
        assert "did you mean" in told.decode()


async def test_a_kubernetes_volume_that_swaps_its_data_link_is_seen(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    def publish(version: str, key: str) -> None:
        (tmp_path / version).mkdir()
        (tmp_path / version / "gateway.yaml").write_text(text(upstream, key))
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    publish("..2026_one", "the-first-key")
    (tmp_path / "gateway.yaml").symlink_to("..data/gateway.yaml")
    args = ("-c", str(tmp_path / "gateway.yaml"), *FREE_PORTS)
    async with serving(*args, cwd=tmp_path) as gateway, aiohttp.ClientSession() as http:
        publish("..2026_two", "the-second-key")
        await until(gateway, http, reloads(1))
        assert await status(gateway, http, "the-second-key") == 200


async def test_a_secret_in_a_file_of_its_own_is_seen_to_change(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    (tmp_path / "secret").write_text("the-first-key\n")
    (tmp_path / "gateway.yaml").write_text(text(upstream, "'${file:secret}'"))
    args = ("-c", str(tmp_path / "gateway.yaml"), *FREE_PORTS)
    async with serving(*args, cwd=tmp_path) as gateway, aiohttp.ClientSession() as http:
        (tmp_path / "secret").write_text("the-second-key\n")
        await until(gateway, http, reloads(1))
        assert [await status(gateway, http, key) for key in ("the-first-key", "the-second-key")] == [401, 200]
