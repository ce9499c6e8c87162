"""The Dockerfile's steps, run outside Docker: the same commands in the same order, in folders of this test.

What it cannot show: the base image's Python, and what a file system that is mounted read-only refuses.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from tests.support.process import serving

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
MOST_MB = 400
BASE_MB = 125
"""python:3.13-slim, uncompressed, as `docker images` shows it."""
CONFIG = """\
auth: none
server: {port: 0, admin: {port: 0}}
upstreams: {openai: {base_url: "http://127.0.0.1:1/v1"}}
routes: [{name: default, upstream: openai}]
"""

pytestmark = [pytest.mark.image, pytest.mark.timeout(400)]


def steps(stage: str) -> list[tuple[str, str]]:
    """Instruction and its argument, of the stage that begins with the FROM line that matches `stage`."""
    body = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    [found] = [part for part in body[1:] if re.search(stage, part.splitlines()[0])]
    lines = [line for line in found.splitlines()[1:] if line and not line.startswith(("#", " "))]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `/opt/gateway` is, with all that the build stage put there."""
    folder = tmp_path_factory.mktemp("image")
    source = folder / "src"
    source.mkdir()
    venv.create(folder / "python", with_pip=True)
    places = {"/opt/gateway": str(folder / "opt" / "gateway"), "/dist": str(folder / "dist")}
    for instruction, argument in steps(" AS build"):
        if instruction == "COPY":
            *names, target = argument.split()
            for name in names:
                _copy(ROOT / name, source / target, keeps_name=target == "./")
        elif instruction == "RUN":
            for inside, outside in places.items():
                argument = argument.replace(inside, outside)
            ran = subprocess.run(
                ["sh", "-ec", argument],
                cwd=source,
                env={**os.environ, "PATH": f"{folder / 'python' / 'bin'}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, f"{argument}\n{ran.stdout}{ran.stderr}"
    return folder / "opt" / "gateway"


def _copy(source: Path, target: Path, *, keeps_name: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target / source.name if keeps_name else target)


def test_the_image_stays_below_400_mb(image: Path) -> None:
    size = sum(file.lstat().st_size for file in image.rglob("*") if not file.is_symlink())
    assert size / 1e6 < MOST_MB - BASE_MB, f"{size / 1e6:.0f} MB without the base image"


def test_it_reads_the_configuration_that_ships_in_it(image: Path) -> None:
    names = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "SUPPORT_KEY", "ASSISTANT_KEY", "GATEWAY_ADMIN_KEY")
    env = {name: f"{name.lower()}-value" for name in names}
    checked = subprocess.run(
        [image / "bin" / "gateway", "check", ROOT / "config" / "production.yaml"],
        env={"AZURE_OPENAI_BASE_URL": "https://x.openai.azure.com/openai/v1", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_it_serves_and_its_own_health_check_says_so(image: Path, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    python = image / "bin" / "python"
    async with serving("-c", "gateway.yaml", cwd=tmp_path, python=str(python)) as process:
        [check] = [argument for name, argument in steps(r"slim$") if name == "HEALTHCHECK"]
        command = json.loads(check[check.index("[") :])
        script = command[2].replace("http://127.0.0.1:8080", process.url)
        checking = await asyncio.create_subprocess_exec(python, command[1], script)
        assert await asyncio.wait_for(checking.wait(), 20) == 0
        assert set(os.listdir(tmp_path)) <= {"gateway.yaml", "var"}  # noqa: PTH208
