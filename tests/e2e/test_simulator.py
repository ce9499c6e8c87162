"""`gateway simulator` as a process."""

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_serves_and_stops_cleanly(stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "gateway", "simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "SIMULATED" in process.stdout.readline()
        found = re.search(r"export OPENAI_BASE_URL=(http://127\.0\.0\.1:\d+/v1)", process.stdout.readline())
        assert found is not None
        with urllib.request.urlopen(f"{found[1]}/models", timeout=10) as reply:
            assert reply.headers["x-simulated"] == "true"
            assert json.load(reply)["object"] == "list"
        process.send_signal(stop)
        assert process.wait(timeout=10) == 0


def test_a_port_in_use_is_an_error_that_names_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "simulator", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = re.search(r":(\d+)/v1", process.stdout.readline() + process.stdout.readline())
        assert port is not None
        second = subprocess.run(
            [sys.executable, "-m", "gateway", "simulator", "--port", port[1]],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        process.terminate()
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port[1]}" in second.stderr
