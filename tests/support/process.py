"""`gateway serve` as a process of its own."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Process:
    child: asyncio.subprocess.Process
    said: str
    url: str
    admin_url: str


@asynccontextmanager
async def serving(*args: str, cwd: Path, python: str | None = None, **env: str) -> AsyncIterator[Process]:
    """The gateway as a process, once it has said where it listens: this checkout's, or the one `python` has."""
    child = await start(*args, cwd=cwd, python=python, **env)
    assert child.stdout is not None
    said = ""
    while "admin port" not in said:
        line = (await child.stdout.readline()).decode()
        assert line, f"it ended: {said}"
        said += line
    traffic, admin = re.findall(r"(?:listening on|admin port) +(\S+)", said)
    try:
        yield Process(child, said, traffic, admin)
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()  # waiting alone would take for ever where much was said and nobody has read it


async def start(*args: str, cwd: Path, python: str | None = None, **env: str) -> asyncio.subprocess.Process:
    root = str(Path(__file__).parent.parent.parent)
    inherited = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return await asyncio.create_subprocess_exec(
        *(python or sys.executable, "-m", "gateway", "serve", *args),
        cwd=cwd,
        env={**inherited, "PYTHONPATH": "" if python else root, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
