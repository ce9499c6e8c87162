"""`gateway serve` with a ledger: several workers on one new file, an orderly stop, and the report afterwards."""

import asyncio
import json
import signal
import sqlite3
import sys
from pathlib import Path

import aiohttp

from tests.support.gateway import CHAT, HELLO
from tests.support.process import serving
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

CONFIG = """\
server: {{port: 0, admin: {{port: 0}}, workers: 2}}
auth: none
upstreams: {{up: {{base_url: "{url}"}}}}
routes: [{{name: default, upstream: up}}]
"""
REQUESTS = 20
COST = 1000 * 150 + 200 * 600
"""Of each, at gpt-4o-mini's prices."""


async def test_workers_share_a_file_and_what_they_served_last_is_in_it(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=Reply.of(chat_body("Hello.", usage=usage(1000, 200)))) as up:
        (tmp_path / "gateway.yaml").write_text(CONFIG.format(url=up.base_url))
        async with serving(cwd=tmp_path) as gw:
            body = json.dumps({"model": "gpt-4o-mini", "messages": HELLO})
            for _ in range(REQUESTS):  # each on a connection of its own, so that both workers have their share
                async with aiohttp.ClientSession() as http, http.post(gw.url + CHAT, data=body) as answer:
                    assert answer.status == 200
            gw.child.send_signal(signal.SIGTERM)
            await asyncio.wait_for(gw.child.communicate(), 30)
    with sqlite3.connect(tmp_path / "var/ledger.db") as connection:
        written = connection.execute("SELECT count(*), sum(cost_nanousd) FROM ledger").fetchone()
        ended = connection.execute("SELECT sum(taken), sum(dropped), min(closed_ms) > 0 FROM ledger_writers").fetchone()
    connection.close()
    assert (written, ended) == ((REQUESTS, REQUESTS * COST), (REQUESTS, 0, 1))
    said = await command("report", "--json", cwd=tmp_path)
    assert json.loads(said)["total"]["cost_nanousd"] == REQUESTS * COST


async def command(*args: str, cwd: Path) -> bytes:
    """Without a word of where the ledger is: the file beside says so."""
    root = str(Path(__file__).parents[2])
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *args),
        cwd=cwd,
        env={"PYTHONPATH": root, "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == 0, wrong.decode()
    return said
