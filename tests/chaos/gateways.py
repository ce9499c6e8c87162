"""Gateways to try things on: as processes, from a configuration written here, with a log that is read afterwards."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.children import Child, free_port
from tests.chaos.clients import KEY

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    admin_url: str
    pid: int
    folder: Path
    http: aiohttp.ClientSession

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


def config(upstreams: Mapping[str, Any], **sections: Any) -> dict[str, Any]:
    """Keys, one tier over all upstreams in their order, and a route that leads there."""
    targets = [f"{name}/gpt-5-nano" for name in upstreams]
    return {
        "ledger": "none",
        "upstreams": dict(upstreams),
        "tiers": {"cheap": targets, "expensive": targets},
        "routes": [{"name": "default", "tier": "cheap"}],
        "keys": [{"name": "chaos", "key": KEY}],
        **sections,
    }


@asynccontextmanager
async def running(document: Mapping[str, Any]) -> AsyncIterator[Running]:
    port, admin = free_port(), free_port()
    given = document.get("server", {})
    server = {**given, "port": port, "admin": {**given.get("admin", {}), "port": admin}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gateway.yaml").write_text(json.dumps({**document, "server": server}))
        argv = (sys.executable, "-m", "gateway", "serve", "-c", "gateway.yaml")
        child = Child(argv, folder, cores=os.sched_getaffinity(0), env={"PYTHONPATH": str(ROOT)})
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            try:
                await asyncio.to_thread(child.wait_until_ready, admin, "/readyz", 30)
                yield Running(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", child.pid, folder, http)
            finally:
                await asyncio.to_thread(child.stop)
