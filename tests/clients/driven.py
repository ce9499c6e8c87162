"""The client libraries as processes, each in its own environment and told what to do by lines of JSON."""

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent.parent / ".venv-clients"
MAX_LINE_BYTES = 1 << 26
ANSWER_TIMEOUT_S = 20.0
START_TIMEOUT_S = 120.0
"""Some libraries import for ten seconds, and longer on a busy machine."""

OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false", "DO_NOT_TRACK": "1"}
"""What keeps a library from asking the network for things of its own when it is imported."""


@dataclass(frozen=True, slots=True)
class Client:
    """A library under test: a folder of `.venv-clients` (None: the development environment) and its module."""

    name: str
    environment: str | None
    module: str
    calls: frozenset[str]
    """The functions of its module."""
    is_openai: bool = False
    """One of OpenAI's own SDKs, which take the fields of a request as they are."""
    obeys_should_retry: bool = True
    """Whether `x-should-retry` is heard: by OpenAI's SDKs, and what is built on them."""

    def command(self) -> list[str]:
        """Skips the test where the environment has not been made."""
        if self.environment is None:
            return [sys.executable, str(HERE / "python" / "driver.py"), self.module]
        folder = ENVIRONMENTS / self.environment
        if not (folder / "installed").exists():
            pytest.skip(f"{self.name}: .venv-clients/{self.environment} is missing; `make test-clients` makes it")
        if self.environment == "node":
            links = ("--preserve-symlinks", "--preserve-symlinks-main")  # packages are found beside the link
            return [str(folder / "bin" / "node"), *links, str(folder / "scripts" / "driver.mjs"), self.module]
        return [str(folder / "bin" / "python"), str(HERE / "python" / "driver.py"), self.module]


@dataclass(frozen=True, slots=True)
class Task:
    call: str
    base_url: str
    key: str
    arguments: dict[str, Any]
    headers: dict[str, str]
    max_retries: int = 0
    timeout_s: float = 15.0
    after: int = 0
    """How much of a stream to read before leaving it."""


@dataclass(frozen=True, slots=True)
class Played:
    base_url: str
    parts: list[Any]
    raised: dict[str, Any] | None


class Driver:
    """One library's process; it plays one task at a time, and lives as long as the test run."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: Path) -> None:
        self._process = process
        self._stderr = stderr
        self.versions: dict[str, str] = {}

    @classmethod
    async def start(cls, client: Client) -> "Driver":
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LITELLM_"))}
        handle, name = tempfile.mkstemp(prefix=f"{client.name}-", suffix=".stderr")
        try:
            process = await asyncio.create_subprocess_exec(
                *client.command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=handle,
                limit=MAX_LINE_BYTES,
                env={**environ, **OFFLINE},
            )
        finally:
            os.close(handle)
        driver = cls(process, Path(name))
        driver.versions = (await driver._answer(START_TIMEOUT_S))["ready"]
        return driver

    async def play(self, task: Task) -> Played:
        assert self._process.stdin is not None
        line = {name: getattr(task, name) for name in Task.__slots__}
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        answer = await self._answer(ANSWER_TIMEOUT_S)
        return Played(task.base_url, answer["parts"], answer.get("raised"))

    async def _answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            self._process.kill()
            raise AssertionError(f"the client said nothing for {timeout_s:g} s; {self._last_words()}") from None
        assert line, f"the client's process ended; {self._last_words()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        return "its last words:\n" + self._stderr.read_text(errors="replace")[-4000:]

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def close(self) -> None:
        if self.is_running:
            self._process.kill()
            await self._process.wait()
        self._stderr.unlink()


class Drivers:
    """One for each client, started when first needed."""

    def __init__(self) -> None:
        self._started: dict[str, Driver] = {}

    async def of(self, client: Client) -> Driver:
        driver = self._started.get(client.name)
        if driver is None or not driver.is_running:
            driver = self._started[client.name] = await Driver.start(client)
        return driver

    async def close(self) -> None:
        for driver in self._started.values():
            await driver.close()
