"""The built wheel is all one needs: installed into an empty environment, it runs the demo."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
INSTALL_TIMEOUT_S = 240
DEMO_TIMEOUT_S = 120

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT_S + DEMO_TIMEOUT_S)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def gateway(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as installed from the wheel and the lock."""
    env = tmp_path_factory.mktemp("env")
    run(sys.executable, ROOT / ".ci/install.py", env, ROOT / "requirements.lock", wheel, timeout=INSTALL_TIMEOUT_S)
    return env / "bin" / "gateway"


def run(*command: str | Path, cwd: Path | None = None, home: Path | None = None, timeout: float = 60) -> str:
    """What `command` printed; `home` is a fresh one, without anything of this checkout in the environment."""
    environment = {"PATH": os.defpath, "HOME": str(home)} if home else None
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def test_the_wheel_carries_what_the_gateway_reads_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "gateway/py.typed",
        "gateway/shipped_config/demo.yaml",
        "gateway/shipped_config/production.yaml",
        "gateway/tokens/ranks/o200k_base.ranks",
        "gateway/tokens/ranks/cl100k_base.ranks",
        "gateway/routing/default_router.json",
        "gateway/migrations/versions/v0001_ledger.py",
        "gateway/migrations/versions/v0002_issued_keys.py",
    } <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"gateway", "llm_gateway"}
    assert not [name for name in names if name.endswith((".pyc", ".db"))]


def test_it_says_its_version(gateway: Path, wheel: Path, tmp_path: Path) -> None:
    version = wheel.name.split("-")[1]
    assert version in run(gateway, "--version", cwd=tmp_path, home=tmp_path)


def test_it_runs_the_demo_in_an_empty_folder(gateway: Path, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    printed = run(gateway, "demo", "--once", cwd=folder, home=home, timeout=DEMO_TIMEOUT_S)
    for word in ("simulat", "route", "cheap", "expensive", "hit", "tokens", "saved", "/metrics", "OPENAI_BASE_URL"):
        assert word.lower() in printed.lower(), f"{word!r} is not in:\n{printed}"
