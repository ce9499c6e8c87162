"""Half an hour of mixed load with faults and clients that leave: memory, descriptors, latency and log stay level.

    python -m tests.soak [--minutes N] [--rate N]

The gateway is a process of its own with cache, limits, budgets, ledger and access log; its two upstreams
fail one call in seven, before and within their answers. Every tenth client hangs up, some send rubbish,
and the configuration is reloaded every minute. What caches in memory may hold is little, so that they are
full when the warm-up is over. Clients and upstreams share this process. The first fifth
of the time is warm-up; what follows has to stay level. Ends with exit code 1 where it does not.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp
import uvloop

from tests.bench.children import Child, free_port
from tests.chaos.clients import AUTHORIZED, CHAT, KEY, ask, chat, percentile
from tests.chaos.faulty import WAYS, Failing, answer_to
from tests.chaos.figures import Figure, table
from tests.support.upstream import ScriptedUpstream, Seen, Stall, Step

CONFIG = """\
server: {{port: {port}, admin: {{port: {admin}}}, write_timeout_s: 5}}
upstreams:
  first: {{base_url: "{first}", idle_timeout_s: 2, first_byte_timeout_s: 2, total_timeout_s: 3}}
  second: {{base_url: "{second}", idle_timeout_s: 2, first_byte_timeout_s: 2, total_timeout_s: 3}}
tiers: {{cheap: [first/gpt-5-nano, second/gpt-5-nano], expensive: [second/gpt-5]}}
routes:
  - name: smart
    match: {{models: [auto]}}
    tier: auto
    tokens: {{max_prompt: 4000, default_completion: 200}}
    cache: {{ttl_s: 30}}
    limits: {{requests_per_minute: 1000000, tokens_per_minute: 1000000000}}
    budgets: [{{usd: 100000, per: day}}]
  - {{name: default, upstream: second}}
cache: {{memory_mb: 4}}
keys: [{{name: soak, key: {key}}}]
"""
WARM_UP = 0.2
MAX_GROWTH_MB = 20
HANDS = 32


@dataclass(slots=True)
class Sample:
    minute: float
    rss_mb: float
    descriptors: int
    p50_ms: float
    p99_ms: float
    requests: int


@dataclass(slots=True)
class Window:
    """Since the last sample."""

    waits_s: list[float] = field(default_factory=list)
    """Of calls that were answered whole by a healthy upstream, not streamed and not stored."""
    outcomes: Counter[str] = field(default_factory=Counter)


class Load:
    def __init__(self, http: aiohttp.ClientSession, url: str, rate: float, rng: Random) -> None:
        self._http = http
        self._url = url
        self._pause_s = HANDS / rate
        self._rng = rng
        self.window = Window()
        self.outcomes: Counter[str] = Counter()
        self._kinds: list[tuple[float, Callable[[], Awaitable[str]]]] = [
            (0.40, self._whole),
            (0.25, self._stream),
            (0.10, self._repeated),
            (0.10, self._left),
            (0.05, self._embedding),
            (0.05, self._passed_through),
            (0.05, self._rubbish),
        ]

    async def hand(self) -> None:
        """One client, until it is cancelled."""
        await asyncio.sleep(self._rng.random() * self._pause_s)
        while True:
            began = time.monotonic()
            kind = self._rng.choices([kind for _, kind in self._kinds], [share for share, _ in self._kinds])[0]
            self.outcomes[await kind()] += 1
            await asyncio.sleep(max(0.0, began + self._pause_s * 2 * self._rng.random() - time.monotonic()))

    def _prompt(self) -> str:
        return f"Question {self._rng.getrandbits(64)}: " + "why is that so? " * self._rng.randrange(1, 60)

    async def _whole(self) -> str:
        began = time.monotonic()
        outcome = await ask(self._http, self._url, chat(self._prompt()))
        if outcome.is_success:
            self.window.waits_s.append(time.monotonic() - began)
        return _told(outcome.is_success, outcome.is_honest)

    async def _stream(self) -> str:
        outcome = await ask(self._http, self._url, chat(self._prompt(), stream=True))
        return _told(outcome.is_success, outcome.is_honest)

    async def _repeated(self) -> str:
        question = chat(f"Asked before {self._rng.randrange(50)}", stream=self._rng.random() < 0.5)
        outcome = await ask(self._http, self._url, question)
        return _told(outcome.is_success, outcome.is_honest)

    async def _left(self) -> str:
        """Hang up somewhere in the middle."""
        try:
            async with asyncio.timeout(self._rng.random() * 0.02):
                await ask(self._http, self._url, chat(self._prompt(), stream=self._rng.random() < 0.5))
        except TimeoutError:
            pass
        return "left"

    async def _embedding(self) -> str:
        body = b'{"model":"text-embedding-3-small","input":"hello"}'
        async with self._http.post(self._url + "/v1/embeddings", data=body, headers=AUTHORIZED) as response:
            await response.read()
            return "whole" if response.status == 200 else "failed"

    async def _passed_through(self) -> str:
        async with self._http.get(self._url + "/v1/files", headers=AUTHORIZED) as response:
            await response.read()
            return "whole" if response.status == 200 else "failed"

    async def _rubbish(self) -> str:
        body = self._rng.choice([b"{", b"[" * 3000, b'{"model":1}', b"\xff\xfe", self._rng.randbytes(5000)])
        headers = self._rng.choice([AUTHORIZED, {}, {"Authorization": "Bearer wrong"}])
        async with self._http.post(self._url + CHAT, data=body, headers=headers) as response:
            await response.read()
            return "refused" if response.status in (400, 401) else f"rubbish got {response.status}"


def _told(is_success: bool, is_honest: bool) -> str:
    return "whole" if is_success else "failed" if is_honest else "DISHONEST"


def _fails(seen: Seen, failing: Failing) -> Step:
    step = failing(seen) if seen.path.endswith("/chat/completions") else answer_to(seen)
    return Stall(step.data) if isinstance(step, Stall) else step


async def soak(minutes: float, rate: float, folder: Path) -> list[Figure]:
    rng = Random(1)
    first, second = Failing(0.15, WAYS, seed=2), Failing(0.02, WAYS, seed=3)
    port, admin = free_port(), free_port()
    async with (
        ScriptedUpstream(then=lambda seen: _fails(seen, first)) as one,
        ScriptedUpstream(then=lambda seen: _fails(seen, second)) as two,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):
        text = CONFIG.format(port=port, admin=admin, first=one.base_url, second=two.base_url, key=KEY)
        (folder / "gateway.yaml").write_text(text)
        argv = (sys.executable, "-m", "gateway", "serve", "-c", "gateway.yaml")
        root = str(Path(__file__).parent.parent)
        child = Child(argv, folder, cores=os.sched_getaffinity(0), env={"PYTHONPATH": root})
        try:
            await asyncio.to_thread(child.wait_until_ready, admin, "/readyz", 30)
            load = Load(http, f"http://127.0.0.1:{port}", rate, rng)
            hands = [asyncio.create_task(load.hand()) for _ in range(HANDS)]
            forget = asyncio.create_task(_forget(one, two))
            samples = await _watch(child.pid, load, minutes)
            for task in (*hands, forget):
                task.cancel()
            ends = await asyncio.gather(*hands, return_exceptions=True)
            broken = [end for end in ends if isinstance(end, Exception)]
        finally:
            await asyncio.to_thread(child.stop)
    return _figures(samples, load.outcomes, broken, (folder / "log").read_text(errors="replace"))


async def _forget(*upstreams: ScriptedUpstream) -> None:
    """They keep every request they were sent, which is not what is measured here."""
    while True:
        await asyncio.sleep(5)
        for upstream in upstreams:
            upstream.requests.clear()


async def _watch(pid: int, load: Load, minutes: float) -> list[Sample]:
    began = time.monotonic()
    every_s = min(60.0, minutes * 60 / 20)
    samples: list[Sample] = []
    sys.stdout.write("minute  RSS MB  descriptors  p50 ms  p99 ms  requests\n")
    while time.monotonic() - began < minutes * 60:
        await asyncio.sleep(every_s)
        window, load.window = load.window, Window()
        sample = Sample(
            (time.monotonic() - began) / 60,
            _rss_mb(pid),
            len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208
            percentile(window.waits_s, 0.5) * 1000,
            percentile(window.waits_s, 0.99) * 1000,
            sum(load.outcomes.values()),
        )
        samples.append(sample)
        sys.stdout.write(
            f"{sample.minute:6.1f}  {sample.rss_mb:6.1f}  {sample.descriptors:11}  {sample.p50_ms:6.1f}  "
            f"{sample.p99_ms:6.1f}  {sample.requests:8,}\n"
        )
        sys.stdout.flush()
        os.kill(pid, signal.SIGHUP)
    return samples


def _rss_mb(pid: int) -> float:
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def _figures(samples: list[Sample], outcomes: Counter[str], broken: list[Exception], log: str) -> list[Figure]:
    level = [sample for n, sample in enumerate(samples) if n >= WARM_UP * len(samples) - 1]
    half = len(level) // 2
    growth = max(sample.rss_mb for sample in level) - level[0].rss_mb
    files = [max(sample.descriptors for sample in part) for part in (level[:half], level[half:])]
    p99 = [percentile([sample.p99_ms for sample in part], 0.5) for part in (level[:half], level[half:])]
    odd = {what: n for what, n in outcomes.items() if what not in ("whole", "failed", "left", "refused")}
    tracebacks = log.count("Traceback")
    spread = ", ".join(f"{n:,} {what}" for what, n in outcomes.most_common())
    return [
        Figure("requests", spread, "each whole, or failed and says so", not odd and not broken),
        Figure("memory after warm-up", f"+{growth:.1f} MB", f"within {MAX_GROWTH_MB} MB", growth <= MAX_GROWTH_MB),
        Figure("descriptors, most in each half", f"{files[0]}, {files[1]}", "level", files[1] <= files[0] * 1.2 + 10),
        Figure("p99, median of each half", f"{p99[0]:.1f}, {p99[1]:.1f} ms", "level", p99[1] <= p99[0] * 1.5 + 5),
        Figure("tracebacks in the log", str(tracebacks), "none", tracebacks == 0),
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--rate", type=float, default=60, help="requests a second")
    options.add_argument("--keep", type=Path, help="folder for configuration, log and ledger")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
        figures = uvloop.run(soak(given.minutes, given.rate, given.keep or Path(folder)))
    sys.stdout.write("\n" + table(figures))
    sys.exit(0 if all(figure.holds for figure in figures) else 1)


if __name__ == "__main__":
    main()
