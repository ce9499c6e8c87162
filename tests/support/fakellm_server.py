"""fakellm, an OpenAI-compatible server that we did not write, as a process of its own."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_CONFIG = """\
version: 1
defaults: {fallback: deterministic_echo}
rules:
  - name: weather
    when: {messages_contain: weather}
    respond:
      tool_calls: [{name: get_weather, arguments: {city: Paris}}]
  - name: json
    when: {messages_contain: JSON}
    respond: {content: '{"city": "Paris"}'}
  - name: city
    when: {messages_contain: about Paris}
    respond: {content: "Paris is the capital of France."}
  - name: busy
    when: {messages_contain: overload}
    respond: {status: 429, error: "Rate limit exceeded (mock)"}
"""


@asynccontextmanager
async def fakellm(folder: Path) -> AsyncIterator[str]:
    """Its base URL, up to and including /v1; its configuration is written to `folder`."""
    file = folder / "fakellm.yaml"
    file.write_text(_CONFIG)
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("fakellm")), "serve", "--port", str(port), "--config", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(30):
        while True:
            assert process.returncode is None, "fakellm ended"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)  # nothing tells when another process listens
                continue
            writer.close()
            return
