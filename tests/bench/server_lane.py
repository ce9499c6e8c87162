"""What the fast lane saves: CPU of the gateway per request, with the lane and with aiohttp in its place.

    python -m tests.bench.server_lane

Both are the same gateway in processes of their own, on one core, before the same upstream and under the
same load from the other core, in turn; keys, exact token counts, the classifier, the cache in memory,
metrics and the access log are on, and requests carry the headers that OpenAI's client sends. Shown are
median, lowest and highest of the rounds: compare within a run only. `event` is a paced stream's cost by
its 52 events.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from asyncio import Event
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from gateway.config.load import parse
from gateway.server.run import running
from tests.bench import children, load
from tests.bench.children import Child
from tests.bench.load import ROOT, Job
from tests.bench.mock_upstream import EVENTS

LANES = ("fast", "aiohttp")
KEY = "sk-bench-0123456789"
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Authorization": f"Bearer {KEY}",
    "Connection": "keep-alive",
    "User-Agent": "OpenAI/Python 3.54.0",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Async": "false",
    "X-Stainless-Lang": "python",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Package-Version": "3.54.0",
    "X-Stainless-Runtime": "CPython",
    "X-Stainless-Runtime-Version": "3.11.7",
    "x-stainless-read-timeout": "600",
    "x-stainless-retry-count": "0",
}
CONFIG = f"""\
server: {{port: %d, admin: {{port: 0}}}}
keys: [{{name: bench, key: {KEY}}}]
upstreams: {{up: {{base_url: "http://127.0.0.1:%d/v1"}}}}
tiers: {{cheap: [up/gpt-5-nano], expensive: [up/gpt-5]}}
routes:
  - name: default
    tier: auto
    tokens: {{max_prompt: 100000}}
    cache: {{ttl_s: 3600}}
"""


@dataclass(frozen=True, slots=True)
class Work:
    name: str
    connections: int
    parts: int = 1
    """What the cost of a request is shared by."""
    is_unique: bool = True
    is_stream: bool = False


WORKS = (
    Work("miss", 32),
    Work("hit", 32, is_unique=False),
    Work("event", 32, parts=EVENTS, is_stream=True),
)


async def serve(lane: str, port: int, upstream_port: int) -> None:
    loaded = parse(CONFIG % (port, upstream_port), source="bench", env={}, folder=Path())
    log = os.open(os.devnull, os.O_WRONLY)
    async with running(loaded, log_fd=log, has_lane=lane == "fast"):
        await Event().wait()


@contextmanager
def started(*args: str, port: int, core: int) -> Iterator[Child]:
    with tempfile.TemporaryDirectory() as folder:
        child = Child((sys.executable, "-m", *args), Path(folder), cores={core}, env={"PYTHONPATH": str(ROOT)})
        try:
            child.wait_until_ready(port, None, timeout_s=20)
            yield child
        finally:
            child.stop()


def cost_us(child: Child, port: int, work: Work, seconds: float) -> float:
    """CPU of `child` for each request of `work`, or for each part of one."""
    nonce = str(time.monotonic_ns()) if work.is_unique else "same"
    job = Job(port, work.connections, seconds, nonce, work.is_unique, work.is_stream, headers=HEADERS)
    before = children.cpu_s(child.pid)
    outcome = load.run(job)
    if outcome.errors or not outcome.good:
        raise RuntimeError(f"{work.name}: {outcome.errors or 'no answer'}; {child.last_words()}")
    return (children.cpu_s(child.pid) - before) / outcome.good / work.parts * 1e6


def measure(rounds: int, seconds: float) -> None:
    cores = sorted(os.sched_getaffinity(0))
    target, other = cores[0], cores[-1]
    os.sched_setaffinity(0, {other})
    upstream_port, ports = children.free_port(), {lane: children.free_port() for lane in LANES}
    this = "tests.bench.server_lane"
    with (
        started("tests.bench.mock_upstream", str(upstream_port), port=upstream_port, core=other),
        started(this, "--serve", "fast", str(ports["fast"]), str(upstream_port), port=ports["fast"], core=target) as a,
        started(
            this, "--serve", "aiohttp", str(ports["aiohttp"]), str(upstream_port), port=ports["aiohttp"], core=target
        ) as b,
    ):
        for work in WORKS:
            found: dict[str, list[float]] = {lane: [] for lane in LANES}
            for round_ in range(rounds + 1):
                for lane, child in zip(LANES, (a, b), strict=True):
                    cost = cost_us(child, ports[lane], work, seconds)
                    if round_:  # the first one warms up
                        found[lane].append(cost)
            show(work, found)


def show(work: Work, found: dict[str, list[float]]) -> None:
    for lane, costs in found.items():
        low, middle, high = min(costs), statistics.median(costs), max(costs)
        sys.stdout.write(f"{work.name:6} {lane:8} {middle:8.1f} us  ({low:.1f} to {high:.1f})\n")
    sys.stdout.flush()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--serve", nargs=3, metavar=("LANE", "PORT", "UPSTREAM"), help="be the gateway")
    given = options.parse_args()
    if given.serve:
        lane, port, upstream_port = given.serve
        uvloop.run(serve(lane, int(port), int(upstream_port)))
    else:
        measure(given.rounds, given.seconds)


if __name__ == "__main__":
    main()
