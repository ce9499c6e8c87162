"""`gateway keys` against a gateway of several workers."""

import asyncio
from pathlib import Path

import aiohttp
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.support.process import Process, serving
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

BODY = b'{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}'
CONFIG = """\
server: {{port: 0, admin: {{port: 0, key: an-admin-key}}, workers: 2}}
upstreams: {{up: {{base_url: "{url}"}}}}
routes: [{{name: default, upstream: up}}]
"""


async def keys(gw: Process, *args: str) -> Result:
    argv = ["keys", *args, "--admin", gw.admin_url]
    return await asyncio.to_thread(CliRunner().invoke, main, argv, env={"GATEWAY_ADMIN_KEY": "an-admin-key"})


async def statuses(gw: Process, secret: str) -> set[int]:
    """Each time on a connection of its own, so that every worker is asked."""
    found = set()
    for _ in range(12):
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}) as http,
            http.post(f"{gw.url}/v1/chat/completions", data=BODY) as response,
        ):
            found.add(response.status)
    return found


async def test_every_worker_knows_a_key_from_its_creation_to_its_revocation(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=Reply.of(chat_body("Hello.", usage=usage(8, 2)))) as up:
        (tmp_path / "gateway.yaml").write_text(CONFIG.format(url=up.base_url))
        async with serving(cwd=tmp_path) as gw:
            spending = await keys(gw, "create", "bot", "--budget", "50usd/day")
            assert "workers share budgets through Redis alone" in spending.stderr
            created = await keys(gw, "create", "bot", "--model", "gpt-4*", "--tag", "env=test", "--expires", "30d")
            assert "'bot'" in created.stderr
            assert await statuses(gw, created.stdout.strip()) == {404}
            plain = (await keys(gw, "create", "plain")).stdout.strip()
            assert await statuses(gw, plain) == {200}
            assert "bot    active  -     -" in (await keys(gw, "list")).stdout
            assert "env=test" in (await keys(gw, "show", "bot")).stdout
            rotated = (await keys(gw, "rotate", "plain")).stdout.strip()
            assert (await statuses(gw, plain), await statuses(gw, rotated)) == ({401}, {200})
            assert "revoked" in (await keys(gw, "revoke", "plain")).stdout
            assert await statuses(gw, rotated) == {401}
            assert "No key named 'nobody'" in (await keys(gw, "show", "nobody")).stderr
