"""Make ENV a virtual environment that holds what LOCK pins, and this project.

    python3 .ci/install.py ENV LOCK [WHEEL]

Needs Python and a package index, nothing else. Everything downloaded is checked against the hash in
its lock. uv does the work where it can (seconds), pip elsewhere (a minute). The project is installed
in editable form, or from WHEEL. A second run with the same locks, Python and place ends at once.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
INSTALLER = ROOT / ".ci" / "installer.lock"  # uv
BUILD = ROOT / ".ci" / "build.lock"  # what it takes to install the project itself

UV_SETTINGS = {"index-url": "UV_DEFAULT_INDEX", "trusted-host": "UV_INSECURE_HOST", "cert": "SSL_CERT_FILE"}
"""pip's settings in uv's spelling: uv does not read pip's configuration."""


def main(env: Path, lock: Path, wheel: Path | None = None) -> None:
    version = sys.version.split()[0]
    if sys.version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        sys.exit(
            f"This project needs Python {oldest} or newer, and {sys.executable} is {version}. "
            "Name a newer one, for example: make PYTHON=python3.13 test"
        )
    stamp = env / "installed"
    place = f"Python {version} at {env.resolve()}\n"
    wanted = place + digest(lock, BUILD, INSTALLER, ROOT / "pyproject.toml")
    found = stamp.read_text() if stamp.exists() else ""
    if found == wanted:
        return
    began = time.monotonic()
    say(f"Installing {lock.name} into {env.name} (again only when the lock changes) ...")
    stamp.unlink(missing_ok=True)  # so that an interrupted run does not pass for a finished one
    if not found.startswith(place):
        create(env)
    fill(env / "bin" / "python", lock, wheel)
    stamp.write_text(wanted)
    say(f"Ready after {time.monotonic() - began:.0f} s.")


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def create(env: Path) -> None:
    try:
        venv.create(env, clear=True, symlinks=True, with_pip=True)
    except subprocess.CalledProcessError:
        sys.exit(
            f"{sys.executable} cannot make a virtual environment with pip in it. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def fill(python: Path, lock: Path, wheel: Path | None) -> None:
    """Install the locks, then the project."""
    locks = [lock] if wheel else [lock, BUILD]
    project = [wheel] if wheel else ["--no-build-isolation", "--editable", ROOT]
    try:
        pip(python, "--require-hashes", "--only-binary=:all:", "-r", INSTALLER)
        uv = (python.parent / "uv", "pip")
        settings = uv_settings(python)
        run(*uv, "sync", "-q", "--python", python, "--require-hashes", *locks, INSTALLER, env=settings)
        run(*uv, "install", "-q", "--python", python, "--no-deps", *project, env=settings)
    except subprocess.CalledProcessError:
        say("uv cannot do it here; pip goes on, which takes a minute.")
        pip(python, "--require-hashes", *(argument for file in locks for argument in ("-r", file)))
        pip(python, *project)


def pip(python: Path, *arguments: str | Path) -> None:
    """A lock is complete, so pip need not look for dependencies."""
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", *arguments)


def uv_settings(python: Path) -> dict[str, str]:
    """The environment for uv; what it already says of uv wins over pip's configuration."""
    listing = subprocess.run([str(python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    env = dict(os.environ)
    for line in listing.stdout.splitlines():
        key, _, value = line.partition("=")
        name = UV_SETTINGS.get(key.rpartition(".")[2])
        if name:
            env.setdefault(name, " ".join(ast.literal_eval(value).split()))
    return env


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, env=env)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        sys.exit(f"This failed: {' '.join(failure.cmd)}")
