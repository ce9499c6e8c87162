"""promtool, where the Debian package `prometheus` has put it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"


def promtool(*args: str, given: str | None = None) -> str:
    """What it printed; a failed test where it found a fault, a skipped one where it is not there."""
    binary = shutil.which("promtool")
    if binary is None:
        pytest.skip("no promtool here: apt-get install prometheus")
    env = {**os.environ, "GOGC": "400"}  # it has memory to spare, and a third of its work is looking for garbage
    ran = subprocess.run(
        [binary, *args], input=given, env=env, capture_output=True, text=True, check=False, timeout=170
    )
    assert ran.returncode == 0, f"promtool {' '.join(args)}\n{ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr
