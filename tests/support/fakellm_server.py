"""fakellm, an OpenAI-compatible server that we did not write, as a process of its own."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.redis_server import free_port

START_TIMEOUT_S = 30.0
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


@contextmanager
def fakellm(folder: Path) -> Iterator[str]:
    """Its base URL, up to and including /v1; its configuration is written to `folder`."""
    file = folder / "fakellm.yaml"
    file.write_text(_CONFIG)
    port = free_port()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("fakellm"), "serve", "--port", str(port), "--config", file],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            assert process.poll() is None, "fakellm ended"
            assert time.monotonic() < give_up_at, "fakellm does not listen"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
