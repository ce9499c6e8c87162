"""Processes of a benchmark: held to one core, and what they cost by Linux's own books.

A target's CPU time is that of its whole process tree, helpers and threads included, to the
nanosecond; a process that ends meanwhile takes its share with it.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

STOP_TIMEOUT_S = 5.0
POLL_S = 0.002


class Child:
    """A process with a folder of its own, where its output goes to the file `log`.

    Python keeps its bytecode, as it does wherever it is installed, or every start would compile it anew.
    """

    def __init__(
        self, argv: Sequence[str], folder: Path, *, cores: Collection[int], env: Mapping[str, str] | None = None
    ) -> None:
        self._log = folder / "log"
        self._began = time.monotonic()
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(
                argv,
                cwd=folder,
                env={**inherited, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(os.sched_setaffinity, 0, cores),
            )
        self.pid = self._popen.pid

    def wait_until_ready(self, port: int, path: str | None, timeout_s: float) -> float:
        """Seconds from the start to the first 200 for `path`, or without one to the first connection.

        Raises RuntimeError with the end of its log where that takes too long or the process ends.
        """
        while not _answers(port, path):
            if self._popen.poll() is not None or time.monotonic() - self._began > timeout_s:
                raise RuntimeError(f"it did not start: {self.last_words()}")
            time.sleep(POLL_S)
        return time.monotonic() - self._began

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-600:].strip() or "(it said nothing)"

    def stop(self) -> None:
        """In good order if it can, and with all that it started."""
        family = tree(self.pid)
        self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_TIMEOUT_S)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait()


def _answers(port: int, path: str | None) -> bool:
    if path is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ------------------------------------------------------------------ what Linux books


def tree(root: int) -> list[int]:
    """`root` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found = [root]
    for pid in found:  # grows as it goes
        found += children.get(pid, [])
    return found


def cpu_s(root: int) -> float:
    """Seconds that a process tree has been on a CPU, threads that have ended included."""
    total = 0.0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += time.clock_gettime(_cpu_clock_of(pid))
    return total


def _cpu_clock_of(pid: int) -> int:
    """The clock that clock_getcpuclockid(3) names; Python has it for its own threads only."""
    return (~pid << 3) | 2


def memory_mb(root: int) -> float:
    """Proportional set size of a process tree: pages shared with others count in part."""
    lines = [line for text in _read(root, "smaps_rollup") for line in text.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def busy_s(core: int) -> tuple[float, float]:
    """Seconds that `core` has been at work since boot, and those the hypervisor took from it; in steps of 10 ms."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _, _, irq, softirq, steal, *_ = (int(ticks) for ticks in line.split()[1:])
    ticks_a_second = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks_a_second, steal / ticks_a_second


def _read(root: int, pattern: str) -> Iterator[str]:
    for pid in tree(root):
        for file in Path(f"/proc/{pid}").glob(pattern):
            with contextlib.suppress(OSError):
                yield file.read_text()
