"""`gateway serve` as a process: what it says, how it stops, what it refuses to start with."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.support.polling import until
from tests.support.process import serving, start
from tests.support.upstream import ScriptedUpstream, Stall, Stream, chat_chunks, event

BODY = json.dumps({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hello"}], "stream": True})
CONFIG = """\
server: {{port: 0, admin: {{port: 0}}, drain_s: {drain_s}}}
auth: none
upstreams: {{up: {{base_url: "{url}"}}}}
routes: [{{name: default, upstream: up}}]
"""


async def test_without_anything_it_serves_a_simulated_model_and_says_so(tmp_path: Path) -> None:
    async with serving("--port", "0", "--admin-port", "0", cwd=tmp_path) as gw, aiohttp.ClientSession() as http:
        assert "SIMULATED" in gw.said
        assert gw.url.startswith("http://127.0.0.1:")
        async with http.post(f"{gw.url}/v1/chat/completions", data=BODY.replace("true", "false")) as response:
            answer = await response.json()
        assert answer["choices"][0]["message"]["content"].startswith("[simulated]")


async def test_with_a_key_it_serves_openai_and_says_so(tmp_path: Path) -> None:
    async with serving("--port", "0", "--admin-port", "0", cwd=tmp_path, OPENAI_API_KEY="sk-canary-0123456789") as gw:
        assert "serving OpenAI" in gw.said
        assert "canary" not in gw.said


async def test_a_stop_lets_streams_finish_and_turns_readiness_red(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    first, *rest = chat_chunks("Hel", "lo")[1:]
    async with ScriptedUpstream(Stream.of(first, go_on, *rest)) as up:
        file = tmp_path / "gateway.yaml"
        file.write_text(CONFIG.format(url=up.base_url, drain_s=20))
        async with serving(cwd=tmp_path) as gw, aiohttp.ClientSession() as http:
            assert "configuration: gateway.yaml" in gw.said
            async with http.post(f"{gw.url}/v1/chat/completions", data=BODY) as response:
                assert await response.content.readany() == event(first)
                gw.child.terminate()
                await until_draining(http, gw.admin_url)
                with pytest.raises(aiohttp.ClientConnectionError):
                    await http.get(f"{gw.url}/healthz", headers={"Connection": "close"})
                go_on.set()
                assert (await response.content.read()).endswith(b"data: [DONE]\n\n")
            assert await gw.child.wait() == 0


async def until_draining(http: aiohttp.ClientSession, admin_url: str) -> None:
    async def is_draining() -> bool:
        async with http.get(f"{admin_url}/readyz") as response:
            return response.status == 503

    await until(is_draining)


async def test_what_does_not_finish_in_time_is_cut_and_the_stop_is_still_clean(tmp_path: Path) -> None:
    async with ScriptedUpstream(Stall()) as up:
        (tmp_path / "gateway.yaml").write_text(CONFIG.format(url=up.base_url, drain_s=0.2))
        async with serving(cwd=tmp_path) as gw, aiohttp.ClientSession() as http:
            call = asyncio.create_task(http.post(f"{gw.url}/v1/chat/completions", data=BODY))
            await up.seen(1)
            gw.child.terminate()
            assert await gw.child.wait() == 0
            with pytest.raises(aiohttp.ClientError):
                await call


@pytest.mark.parametrize(
    ("args", "config", "said"),
    [
        (["-c", "absent.yaml"], None, "absent.yaml: expected a readable file"),
        ([], "auth: none\nrouts: []\n", "did you mean"),
        (["--host", "0.0.0.0"], CONFIG.format(url="http://127.0.0.1:1/v1", drain_s=1), "allow_open"),
    ],
)
async def test_it_does_not_start_with_what_cannot_be_right(
    tmp_path: Path, args: list[str], config: str | None, said: str
) -> None:
    if config is not None:
        (tmp_path / "gateway.yaml").write_text(config)
    child = await start(*args, cwd=tmp_path)
    out, err = await child.communicate()
    assert child.returncode == 1
    assert out == b""
    assert said in err.decode()
    assert "Traceback" not in err.decode()
