"""`gateway serve --workers N`: one port, one admin port, and a dead worker is replaced."""

import asyncio
import json
import os
import signal
from functools import partial
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.bench.children import tree
from tests.support.polling import until
from tests.support.process import Process, serving, start
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, event, usage

BODY = json.dumps({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]})
CONFIG = """\
server: {{port: {port}, admin: {{port: 0}}, drain_s: 20, workers: 2}}
auth: none
ledger: none
upstreams: {{up: {{base_url: "{url}"}}}}
routes: [{{name: default, upstream: up}}]
"""
ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))


def written(folder: Path, url: str, port: int = 0) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(CONFIG.format(url=url, port=port))
    return folder


def workers_of(gw: Process) -> set[int]:
    return set(tree(gw.child.pid)) - {gw.child.pid}


async def ask(gw: Process, times: int) -> None:
    """Each time on a connection of its own, so that all workers have their share."""
    for _ in range(times):
        async with aiohttp.ClientSession() as http, http.post(f"{gw.url}/v1/chat/completions", data=BODY) as response:
            assert response.status == 200


async def counted(gw: Process, http: aiohttp.ClientSession) -> dict[str, float]:
    async with http.get(f"{gw.admin_url}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        samples = [sample for family in families for sample in family.samples]
    return {
        name: sum(sample.value for sample in samples if sample.name == name)
        for name in ("gateway_requests_total", "gateway_request_duration_seconds_count", "gateway_tokens_total")
    }


async def until_counted(gw: Process, http: aiohttp.ClientSession, requests: int) -> None:
    async def are_all_there() -> bool:
        return (await counted(gw, http))["gateway_requests_total"] == requests

    await until(are_all_there)
    seen = await counted(gw, http)
    assert seen["gateway_request_duration_seconds_count"] == requests
    assert seen["gateway_tokens_total"] == 10 * requests


async def are_gone(pids: set[int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)  # noqa: PTH110, ASYNC240  (no file system of a disk)


async def ready(gw: Process, http: aiohttp.ClientSession) -> tuple[int, dict[str, object]]:
    async with http.get(f"{gw.admin_url}/readyz") as response:
        return response.status, await response.json()


async def test_workers_share_the_port_and_their_numbers_are_added_up_and_kept(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream(then=ANSWER) as up,
        serving(cwd=written(tmp_path, up.base_url)) as gw,
        aiohttp.ClientSession() as http,
    ):
        assert await ready(gw, http) == (200, {"status": "ready", "workers": 2})
        first_crew = workers_of(gw)
        assert len(first_crew) == 2
        await ask(gw, 12)
        await until_counted(gw, http, 12)
        os.kill(victim := min(first_crew), signal.SIGKILL)

        async def is_crew_complete() -> bool:
            return len(workers_of(gw) - {victim}) == 2 and (await ready(gw, http))[1]["workers"] == 2

        await until(is_crew_complete)
        await ask(gw, 8)
        await until_counted(gw, http, 20)
        last_crew = workers_of(gw)
        gw.child.terminate()
        assert await gw.child.wait() == 0
        assert await are_gone(last_crew)


async def test_a_stop_lets_streams_of_all_workers_finish(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    first, *rest = chat_chunks("Hel", "lo")[1:]
    body = BODY.replace("}]", '}],"stream":true')
    async with (
        ScriptedUpstream(then=Stream.of(first, go_on, *rest)) as up,
        serving(cwd=written(tmp_path, up.base_url)) as gw,
        aiohttp.ClientSession() as http,
    ):
        url = f"{gw.url}/v1/chat/completions"
        streams = [await http.post(url, data=body) for _ in range(6)]
        for stream in streams:
            assert await stream.content.readany() == event(first)
        gw.child.terminate()

        async def is_draining() -> bool:
            return (await ready(gw, http))[0] == 503

        await until(is_draining)
        go_on.set()
        for stream in streams:
            assert (await stream.content.read()).endswith(b"data: [DONE]\n\n")
        assert await gw.child.wait() == 0


async def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, serving(cwd=written(tmp_path, up.base_url)) as gw:
        crew = workers_of(gw)
        gw.child.kill()
        await gw.child.wait()
        await until(partial(are_gone, crew))


async def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        child = await start(cwd=written(tmp_path, up.base_url, up.port))
        _, err = await child.communicate()
        assert child.returncode == 1
        assert f"cannot listen on 127.0.0.1:{up.port}" in err.decode()
        assert "Traceback" not in err.decode()


async def test_every_worker_answers_an_operator(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream:
        folder = written(tmp_path, upstream.base_url)
        text = (folder / "gateway.yaml").read_text().replace("admin: {port: 0}", "admin: {port: 0, key: an-admin-key}")
        (folder / "gateway.yaml").write_text(text)
        async with serving("-c", "gateway.yaml", cwd=folder) as gw, aiohttp.ClientSession() as http:
            bearer = {"Authorization": "Bearer an-admin-key"}
            async with http.get(f"{gw.admin_url}/admin/status", headers=bearer) as response:
                status = await response.json()
            assert status["workers"] == 2
            assert {process["pid"] for process in status["processes"]} == workers_of(gw)
            async with http.get(f"{gw.admin_url}/admin/status") as response:
                assert response.status == 401
