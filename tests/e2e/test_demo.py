"""`gateway demo` as a process: without a terminal it ends after its table, on one it keeps serving until Ctrl-C."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

DEMO = [sys.executable, "-m", "gateway", "demo"]
END_TIMEOUT_S = 50


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=END_TIMEOUT_S,
        check=False,
        env={**os.environ, "http_proxy": "http://127.0.0.1:1"},  # must not be asked
    )


def figures(printed: str) -> dict[str, list[float]]:
    """The table: label → a number for each route and for their sum."""
    rows = re.findall(r"^ *([a-z ]+?)((?: {3,}[\d.,-]+){4})$", printed, re.MULTILINE)
    return {label: [float(cell.replace(",", "").replace("-", "0")) for cell in cells.split()] for label, cells in rows}


def test_it_shows_what_happened_on_every_route_and_ends() -> None:
    ran = run("--once", "--requests", "120")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "simulated upstream" in ran.stdout
    assert "120 of 120 requests sent" in ran.stdout
    assert re.search(r"^route +support +assistant +default +all$", ran.stdout, re.MULTILINE)
    table = figures(ran.stdout)
    assert table["requests"][-1] == 120
    assert table["refused"][-1] == 5
    for label in ("to the cheap tier", "to the expensive tier", "cache hits among them"):
        assert table[label][-1] >= 5, label
    for label in ("tokens in", "tokens out", "dollars spent", "by the cache", "by the cheap tier"):
        assert table[label][-1] > 0, label
    for label, (*routes, everything) in table.items():
        assert sum(routes) == pytest.approx(everything, abs=2e-6), label
    assert re.search(r"agree to the nano-dollar: 0\.\d{9} spent", ran.stdout)
    for line in ("OPENAI_BASE_URL=http://127.0.0.1:", "curl -s http://127.0.0.1:", "/metrics"):
        assert line in ran.stdout


@contextmanager
def on_a_terminal(*options: str) -> Iterator[tuple[subprocess.Popen[bytes], "Screen"]]:
    ours, theirs = pty.openpty()
    with subprocess.Popen([*DEMO, *options], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            yield process, Screen(ours)
        finally:
            process.kill()
            os.close(ours)


class Screen:
    """What a terminal shows, read as it comes."""

    def __init__(self, fd: int) -> None:
        self.text = ""
        self._fd = fd

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read on until `pattern` is there; the test's time-out is the limit."""
        deadline = time.monotonic() + END_TIMEOUT_S
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            self.text += os.read(self._fd, 65_536).decode()
        return found


def test_on_a_terminal_it_keeps_serving_until_ctrl_c() -> None:
    with on_a_terminal("--requests", "8", "--port", "0") as (process, screen):
        key = screen.wait_for(r"OPENAI_BASE_URL=(\S+) OPENAI_API_KEY=(\S+)")
        metrics = screen.wait_for(r"curl -s (\S+/metrics)")[1]
        body = {"model": "support-chat", "messages": [{"role": "user", "content": "Hello?"}]}
        request = urllib.request.Request(
            f"{key[1]}/chat/completions", json.dumps(body).encode(), {"Authorization": f"Bearer {key[2]}"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert json.load(reply)["choices"][0]["message"]["content"].startswith("[simulated] ")
        with urllib.request.urlopen(metrics, timeout=10) as reply:
            assert b"gateway_requests_total" in reply.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(END_TIMEOUT_S) == 0
        assert "Traceback" not in screen.text


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_stopped_in_the_middle(stop: signal.Signals) -> None:
    with on_a_terminal("--requests", "10000", "--port", "0") as (process, screen):
        screen.wait_for(r"[1-9]\d*/10000")
        process.send_signal(stop)
        assert process.wait(END_TIMEOUT_S) == 0
        assert "Traceback" not in screen.text
