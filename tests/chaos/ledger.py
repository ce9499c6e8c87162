"""The ledger under load, while its database misbehaves and while gateways are killed.

1. One gateway, a real Postgres, a steady load. The Postgres is stopped, frozen and full in turn; no answer may fail, or
   be slower than before, and when it is back every row has to be there.
2. Two gateways on one Redis and one Postgres, a budget on the key; each is killed (SIGKILL) under load and started
   anew. What clients were told, what the budget was charged and what the ledger has must differ by the requests that
   the killed ones had not written yet, and by nothing else; `gateway report` has to name the killed.
"""

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp

from gateway.accounting.report import SILENT_MS, report
from gateway.admission.plan import Account
from gateway.admission.stores import RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from gateway.values import NANO
from tests.chaos.figures import Figure
from tests.support.gateway import CHAT, HELLO, Scrape
from tests.support.postgres_server import PostgresServer, find_binaries
from tests.support.process import Process, serving
from tests.support.redis_server import RedisServer, find_binary
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

CONFIG = """\
server: {{port: 0, admin: {{port: 0}}}}
store: {store}
store_timeout_s: 2
lease_s: {lease_s}
ledger: {ledger}
upstreams: {{up: {{base_url: "{upstream}"}}}}
routes: [{{name: default, upstream: up}}]
keys: [{{name: bot, key: the-bots-secret, budgets: [{{usd: 1000, per: total}}]}}]
prices: {{"*": {{input: 100, output: 1000}}}}
"""
KEY = {"Authorization": "Bearer the-bots-secret"}
ANSWER = Reply.of(chat_body("Hi.", usage=usage(8, 2)))
COST = 8 * 100_000 + 2 * 1_000_000
BODY = json.dumps({"model": "m", "messages": HELLO, "max_tokens": 2}).encode()
SECONDS, RATE = 4.0, 80.0
"""Of each phase; requests a second."""
LEASE_S = 2
WAIT_S = 60
FILE_BYTES = 16 << 20


@dataclass
class Heard:
    """What clients saw: answers by request id with their nano-dollars, latencies, and what went wrong."""

    cost: dict[str, int] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def figure(self, what: str) -> Figure:
        taken = sorted(self.seconds) or [0.0]
        p50, p99 = (taken[int(len(taken) * share)] * 1000 for share in (0.5, 0.99))
        measured = f"{len(self.cost)} answered, {len(self.failures)} failed, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        return Figure(what, measured, "none failed", holds=not self.failures)


async def load(http: aiohttp.ClientSession, urls: Callable[[], list[str]], *, seconds: float, rate: float) -> Heard:
    """`rate` requests a second over `urls` in turn, whether or not earlier ones were answered."""
    heard, tasks = Heard(), set[asyncio.Task[None]]()
    began = time.monotonic()
    for number in itertools.count():
        due = began + number / rate
        if due - began >= seconds:
            break
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        up = urls()
        tasks.add(asyncio.create_task(ask(http, up[number % len(up)], heard)))
    await asyncio.gather(*tasks)
    return heard


async def ask(http: aiohttp.ClientSession, url: str, heard: Heard) -> None:
    began = time.monotonic()
    try:
        async with http.post(url + CHAT, data=BODY, headers=KEY) as answer:
            await answer.read()
            if answer.status != 200:
                heard.failures.append(f"status {answer.status}")
                return
            name = answer.headers["x-request-id"]
            heard.cost[name] = int(Decimal(answer.headers["x-gateway-cost-usd"]) * NANO)
            heard.at[name] = time.time()
            heard.seconds.append(time.monotonic() - began)
    except aiohttp.ClientError as error:
        heard.failures.append(type(error).__name__)


async def metric(http: aiohttp.ClientSession, gateway: Process, name: str) -> float:
    async with http.get(gateway.admin_url + "/metrics") as answer:
        return Scrape(await answer.text())(name)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> float:
    """Seconds until it holds; TimeoutError where it never does."""
    began = time.monotonic()
    while not await holds():
        if time.monotonic() - began > WAIT_S:
            raise TimeoutError(f"{what} within {WAIT_S} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@dataclass(frozen=True)
class Place:
    """Everything that gateways need, and where they stand."""

    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    upstream: ScriptedUpstream


@asynccontextmanager
async def started(place: Place, name: str) -> AsyncIterator[Process]:
    file = place.folder / f"{name}.yaml"
    file.write_text(
        CONFIG.format(
            lease_s=LEASE_S, store=place.redis.url, ledger=place.postgres.url, upstream=place.upstream.base_url
        )
    )
    async with serving("-c", str(file), cwd=place.folder) as process:
        assert process.child.stderr is not None
        drained = asyncio.create_task(drain(process.child.stderr), name="read its log")
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # in order, unless it was killed
                process.child.terminate()
            await process.child.wait()
            drained.cancel()


async def drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


# ------------------------------------------------------------------ 1: a database that misbehaves


async def misbehaving(place: Place, http: aiohttp.ClientSession) -> list[Figure]:
    ledger = place.postgres
    heard: list[Heard] = []
    figures: list[Figure] = []
    async with started(place, "one") as gateway:

        async def is_caught_up() -> bool:
            return await metric(http, gateway, "gateway_ledger_queued_rows") == 0

        async def phase(what: str) -> None:
            heard.append(await load(http, lambda: [gateway.url], seconds=SECONDS, rate=RATE))
            figures.append(heard[-1].figure(f"ledger's Postgres {what}"))

        async def back(what: str) -> None:
            queued = await metric(http, gateway, "gateway_ledger_queued_rows")
            taken_s = await until(is_caught_up, "the ledger did not catch up")
            figures.append(Figure(f"  {what}", f"{queued:.0f} rows written {taken_s:.1f} s later", "all", holds=True))

        await load(http, lambda: [gateway.url], seconds=1, rate=RATE / 4)  # its tables are made meanwhile
        await until(is_caught_up, "the first rows were not written")
        await ledger.ask("TRUNCATE ledger, ledger_attempts")
        await phase("healthy")
        ledger.stop()
        await phase("stopped")
        ledger.start()
        await back("started again")
        ledger.freeze()
        await phase("frozen")
        ledger.thaw()
        await back("thawed")
        await grow(ledger)
        ledger.stop()
        ledger.start(largest_file=FILE_BYTES)
        await phase("full")
        ledger.stop()
        ledger.start()
        await back("has room again")
        await phase("healthy")
        await until(is_caught_up, "the last rows were not written")
        dropped = await metric(http, gateway, "gateway_ledger_dropped_total")
    answers = sum(len(each.cost) for each in heard)
    ((rows, cost),) = await ledger.ask("SELECT count(*), sum(cost_nanousd) FROM ledger WHERE endpoint = 'chat'")
    measured = f"{answers} answers, {rows} rows, {dropped:.0f} dropped"
    holds = rows == answers and dropped == 0 and cost == answers * COST
    return [*figures, Figure("  in the end", measured, "a row for each answer", holds=holds)]


async def grow(ledger: PostgresServer) -> None:
    """Make this month's partition larger than any file may be when the disk is full."""
    columns = (
        "at_ms, writer, seq, request_id, endpoint, is_stream, status, is_success, is_lost, attempts, dropped_tokens"
    )
    columns += ", trimmed_tokens, is_estimated, price_unknown, saved_cache_nanousd, saved_coalesced_nanousd"
    columns += ", saved_tier_nanousd, saved_trim_nanousd, duration_us, upstream_us"
    values = "'filler', 'filler', false, 0, false, false, 0, 0, 0, false, false, 0, 0, 0, 0, 0, 0"
    now_ms = int(time.time() * 1000)
    await ledger.ask(
        f"INSERT INTO ledger ({columns}) SELECT {now_ms}, 0, n, {values} FROM generate_series(1, 150000) n"
    )


# ------------------------------------------------------------------ 2: gateways that are killed


async def killed_in_turn(place: Place, http: aiohttp.ClientSession) -> list[Figure]:
    await place.postgres.ask("TRUNCATE ledger, ledger_attempts, ledger_writers")
    place.redis.flush()
    up: dict[str, Process] = {}
    killed_at: list[float] = []
    async with AsyncExitStack() as stack:
        stacks = {name: await stack.enter_async_context(AsyncExitStack()) for name in ("a", "b")}
        for name, own in stacks.items():
            up[name] = await own.enter_async_context(started(place, name))
        everywhere = load(http, lambda: [gateway.url for gateway in up.values()], seconds=6 * SECONDS, rate=RATE)
        loading = asyncio.create_task(everywhere, name="load")
        for name in ("a", "b"):
            await asyncio.sleep(1.5 * SECONDS)
            process = up.pop(name)
            process.child.kill()
            killed_at.append(time.time())
            await process.child.wait()
            await stacks[name].aclose()
            up[name] = await stacks[name].enter_async_context(started(place, f"{name}-again"))
        heard = await loading
        await until(lambda: nothing_reserved(place), "leases of the dead did not end")
        await asyncio.sleep(LEASE_S)  # until each has looked once more for what was lost
    return await adding_up(place, heard, killed_at)


async def nothing_reserved(place: Place) -> bool:
    return (await budget(place))[1] == 0


async def budget(place: Place) -> tuple[int, int]:
    """Nano-dollars settled and reserved."""
    async with Kv(place.redis.url, timeout_s=2, clock=SystemClock()) as kv:
        _, (found,) = await RedisAdmissionStore(kv).read([Account("key:bot", "usd", "total")])
    return found.settled, found.reserved


async def adding_up(place: Place, heard: Heard, killed_at: list[float]) -> list[Figure]:
    rows = await place.postgres.ask("SELECT request_id, cost_nanousd, is_lost, attempts FROM ledger")
    known = {str(name): cost for name, cost, is_lost, _ in rows if not is_lost}
    lost = sum(int(str(attempts)) for _, _, is_lost, attempts in rows if is_lost)
    missing = [name for name in heard.cost if name not in known]
    wrong = [name for name in heard.cost if name in known and known[name] != heard.cost[name]]
    before_s = [min((at - heard.at[name] for at in killed_at if at >= heard.at[name]), default=-1) for name in missing]
    settled, _ = await budget(place)
    apart = settled - sum(int(str(cost or 0)) for _, cost, _, _ in rows)
    await place.postgres.ask(f"UPDATE ledger_writers SET seen_ms = seen_ms - {2 * SILENT_MS}")  # as if time had passed
    found = await report(place.postgres.url, (), since_ms=0, until_ms=int(time.time() * 1000))
    dead = sum(gap.is_dead for gap in found.gaps)
    unheard = len(heard.failures)
    return [
        Figure(
            "two gateways, each killed once",
            f"{len(heard.cost)} answered, {unheard} cut off, {len(wrong)} wrong in the ledger",
            "none wrong",
            holds=not wrong,
        ),
        Figure(
            "  rows lost with them",
            f"{len(missing)}, answered at most {max(before_s, default=0):.2f} s before",
            "0.5 s and a write",
            holds=all(0 <= seconds < 1.5 for seconds in before_s),
        ),
        Figure(
            "  budget less ledger",
            f"{apart / COST:g} requests ({lost} entered as lost)",
            f"{len(missing)} to {len(missing) + unheard}",
            holds=len(missing) * COST <= apart <= (len(missing) + unheard) * COST,
        ),
        Figure("  processes that the report names", str(dead), str(len(killed_at)), holds=dead == len(killed_at)),
    ]


async def _all() -> list[Figure]:
    binaries, redis_binary = find_binaries(), find_binary()
    if binaries is None or redis_binary is None:
        return [Figure("ledger", "no Postgres or redis-server here", "both", holds=False)]
    postgres, redis = PostgresServer(binaries), RedisServer(redis_binary)
    try:
        await asyncio.to_thread(postgres.start)
        redis.start()
        with tempfile.TemporaryDirectory() as folder:
            async with ScriptedUpstream(then=ANSWER) as upstream, aiohttp.ClientSession() as http:
                place = Place(Path(folder), postgres, redis, upstream)
                return [*await misbehaving(place, http), *await killed_in_turn(place, http)]
    finally:
        postgres.close()
        redis.close()


def main() -> list[Figure]:
    return asyncio.run(_all())
