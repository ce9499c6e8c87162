"""A ledger of a million requests: how large it is, and how long the commands take that read it.

    python -m tests.bench.ledger [--rows N] [--keep FILE]

Rows go in by the statement and in the batches of the gateway's own writer, on SQLite; the commands run as
processes of their own, as people run them. And the CPU that cost, ledger and log add to a request.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from gateway.accounting.book import book
from gateway.accounting.entry import attempts_of, row_of
from gateway.accounting.ledger import BATCH_ROWS, INSERT, INSERT_ATTEMPT, Ledger
from gateway.accounting.prices import PriceTable
from gateway.clock import SystemClock
from gateway.migrations.upgrade import upgrade
from gateway.record import Attempt, Record
from gateway.sql import Database
from gateway.telemetry.logs import access_line
from gateway.values import Caller, Decision, Estimate, Target, Usage

DAYS = 30
CHEAP, DEAR = Target("openai", "gpt-5-mini"), Target("openai", "gpt-5.2")
TEAMS = ("support", "search", "product")
CONFIG = """\
auth: none
ledger: {url}
upstreams: {{openai: {{base_url: "https://api.openai.com/v1"}}}}
tiers: {{cheap: [openai/gpt-5-mini], expensive: [openai/gpt-5.2]}}
routes:
  - name: support
    match: {{models: [support-*]}}
    tier: auto
    router: {{threshold: {threshold}}}
    cache: {{ttl_s: {ttl_s}}}
    tokens: {{max_prompt: 3000}}
  - {{name: default, upstream: openai}}
teams: [{{name: support}}, {{name: search}}, {{name: product}}]
"""


def request(rng: random.Random, at: float, prices: PriceTable) -> Record:
    """One request as traffic has them: a quarter hits, a few refusals and errors."""
    record = Record(f"req_{rng.getrandbits(96):024x}", "chat", at, 0.0)
    team = rng.choice(TEAMS)
    record.caller = Caller(f"{team}-{rng.randrange(4)}", team)
    record.route = rng.choice(("support", "support", "default"))
    record.is_stream = rng.random() < 0.6
    tokens = int(rng.lognormvariate(6, 1))
    record.estimate = Estimate(tokens, "exact", 500)
    probability = rng.random()
    tier, target = ("cheap", CHEAP) if probability < 0.5 else ("expensive", DEAR)
    if record.route == "support":
        record.decision = Decision((target,), tier, "classifier", probability, DEAR)
        record.cache_key = f"gw:cache:{rng.randrange(1 << 18) ** 2:064x}"
    else:
        record.decision = Decision((DEAR,), "none", "upstream")
        target = DEAR
    record.duration_s, record.upstream_s, record.first_byte_s = 1.2, 1.19, 0.4
    if rng.random() < 0.02:
        record.status, record.rejected, record.error = 400, "context_length_exceeded", "PromptTooLong"
        return record
    record.target, record.status, record.is_success, record.finish_reason = target, 200, True, "stop"
    usage = Usage(tokens, int(rng.lognormvariate(5, 1)), cached_input=tokens // 3, reasoning=0)
    if record.cache_key and rng.random() < 0.25:
        record.cache, record.usage = "hit", usage
        record.saved_nanousd = {"cache": 1_000_000}
        return record
    record.cache = "miss" if record.cache_key else None
    record.attempts = [Attempt(target, "ok", 1.19)]
    book(record, usage, prices, source="computed")
    return record


async def fill(url: str, rows: int, prices: PriceTable) -> float:
    """Write `rows` requests of the last days; the seconds that writing took."""
    rng, now, taken_s = random.Random(1), time.time(), 0.0
    async with Database(url) as database:
        for start in range(0, rows, BATCH_ROWS):
            numbers = range(start, min(rows, start + BATCH_ROWS))
            made = [request(rng, now - DAYS * 86_400 * (1 - n / rows), prices) for n in numbers]
            began = time.perf_counter()
            rows_made = [row_of(record, 1, n) for n, record in zip(numbers, made, strict=True)]
            tries = [row for n, record in zip(numbers, made, strict=True) for row in attempts_of(record, 1, n)]
            await database.write(*INSERT.batches(rows_made), *INSERT_ATTEMPT.batches(tries))
            taken_s += time.perf_counter() - began
    return taken_s


def cpu_of_a_request(prices: PriceTable, n: int = 50_000) -> dict[str, float]:
    """Microseconds of one core on the event loop's thread; the writing thread's are in the figure of `fill`."""
    rng = random.Random(2)
    made = [request(rng, time.time(), prices) for _ in range(1000)]
    usages = [record.usage or Usage(100, 10) for record in made]

    async def observed() -> float:
        ledger = Ledger(Database("sqlite:///never-opened.db"), SystemClock(), retention_days=1, queue_rows=10**9)
        began = time.process_time()
        for i in range(n):
            ledger.observe(made[i % 1000])
        return time.process_time() - began

    began = time.process_time()
    for i in range(n):
        access_line(made[i % 1000])
    log_s = time.process_time() - began
    began = time.process_time()
    for i in range(n):
        book(made[i % 1000], usages[i % 1000], prices, source="computed")
    cost_s = time.process_time() - began
    figures = {"cost": cost_s, "ledger": asyncio.run(observed()), "log": log_s}
    return {name: seconds / n * 1e6 for name, seconds in figures.items()}


def timed_command(*args: str, cwd: Path) -> tuple[float, str]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *args], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )
    if ran.returncode:
        sys.exit(ran.stderr)
    return time.perf_counter() - began, ran.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="a ledger to make, or to use again if it is there")
    options = parser.parse_args()
    prices = PriceTable.build({}, at=datetime.now(UTC))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = (options.keep or folder / "ledger.db").absolute()
        url = f"sqlite:///{file}"
        if not file.exists():
            upgrade(url)
            taken_s = asyncio.run(fill(url, options.rows, prices))
            print(f"written: {taken_s / options.rows * 1e6:.1f} us a request, rows made included")
        size = sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))
        print(f"size: {size / 1e6:.0f} MB, {size / options.rows:.0f} bytes a request, attempts included")
        for what, threshold, ttl_s in (("today.yaml", 0.5, 3600), ("new.yaml", 0.8, 86_400)):
            (folder / what).write_text(CONFIG.format(url=url, threshold=threshold, ttl_s=ttl_s))
        common = ("-c", "today.yaml", "--since", "365d")
        for args in (
            ("report", *common),
            ("report", "--by", "day,team,model", "--json", *common),
            ("plan", "new.yaml", *common),
        ):
            taken_s, said = timed_command(*args, cwd=folder)
            print(f"gateway {args[0]} {' '.join(args[1:3])}: {taken_s:.1f} s, {len(said.splitlines())} lines")
    for what, us in cpu_of_a_request(prices).items():
        print(f"CPU of a request, {what}: {us:.1f} us")


if __name__ == "__main__":
    main()
