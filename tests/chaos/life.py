"""The process is told to stop in the middle of its work, one of its workers is killed, its configuration changes."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import uvloop

from tests.chaos.clients import AUTHORIZED, CHAT, Outcome, ask, chat
from tests.chaos.faulty import CHUNKS, WHOLE, healthy, is_stream
from tests.chaos.figures import Figure
from tests.chaos.gateways import Running, config, running
from tests.support.upstream import DONE, ScriptedUpstream, Seen, Step, Stream, event

STREAMS, CALLS = 50, 30
WORKERS = 2


async def stop_under_load() -> list[Figure]:
    go_on = asyncio.Event()

    async def slow(seen: Seen) -> Step:
        if is_stream(seen):
            first, *rest = (event(chunk) for chunk in CHUNKS[1:])
            return Stream([first, go_on, *rest, DONE])
        await go_on.wait()
        return WHOLE

    async with ScriptedUpstream(then=slow) as up, running(config({"up": {"base_url": up.base_url}})) as gw:
        bodies = [chat(f"s{n}", stream=True) for n in range(STREAMS)] + [chat(f"c{n}") for n in range(CALLS)]
        asking = [asyncio.create_task(ask(gw.http, gw.url, body)) for body in bodies]
        await up.seen(STREAMS + CALLS)
        os.kill(gw.pid, signal.SIGTERM)
        readiness = await _until_red(gw)
        go_on.set()
        outcomes = await asyncio.gather(*asking)
        code = await _exit_code(gw.pid)
    whole = sum(outcome.is_success for outcome in outcomes)
    return [
        Figure(
            f"SIGTERM with {STREAMS} streams and {CALLS} calls in flight",
            f"{whole} of {len(outcomes)} whole",
            "none dropped",
            whole == len(outcomes),
        ),
        Figure("readiness while they finish", readiness, "503 or closed", readiness in ("503", "closed")),
        Figure("the process after that", code, "gone", code == "gone"),
    ]


async def _until_red(gw: Running) -> str:
    async with asyncio.timeout(10):
        while True:
            try:
                async with gw.http.get(gw.admin_url + "/readyz") as response:
                    if response.status != 200:
                        return str(response.status)
            except OSError:
                return "closed"
            await asyncio.sleep(0.02)


async def _exit_code(pid: int) -> str:
    async with asyncio.timeout(20):
        while True:
            if _state(pid) == "Z":
                return "gone"
            await asyncio.sleep(0.05)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def kill_a_worker() -> list[Figure]:
    document = config({"up": {"base_url": ""}}, server={"workers": WORKERS})
    async with ScriptedUpstream(then=healthy) as up:
        document["upstreams"]["up"]["base_url"] = up.base_url
        async with running(document) as gw:
            await _until_complete(gw)
            victim = _workers(gw)[0]
            outcomes: list[Outcome] = []
            failed_at: list[float] = []
            is_over = False

            async def hand() -> None:
                while not is_over:
                    outcome = await ask(gw.http, gw.url, chat("hello"))
                    outcomes.append(outcome)
                    if not outcome.is_success:
                        failed_at.append(time.monotonic())
                    await asyncio.sleep(0.05)  # one core or two have to start the other worker, too

            hands = [asyncio.create_task(hand()) for _ in range(8)]
            await asyncio.sleep(1)
            killed_at = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            await _until_complete(gw, without=victim)
            replaced_s = time.monotonic() - killed_at
            await asyncio.sleep(1)
            is_over = True
            await asyncio.gather(*hands)
    late = [at - killed_at for at in failed_at if at - killed_at > 0.5]
    return [
        Figure(
            f"SIGKILL of one of {WORKERS} workers: failed requests",
            f"{len(failed_at)} of {len(outcomes):,}",
            "at most what it held (8 at once)",
            len(failed_at) <= 8 and not late,
        ),
        Figure("until another has taken its place", f"{replaced_s:.1f} s", "5 s", replaced_s <= 5),
    ]


def _workers(gw: Running) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == gw.pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return sorted(found)


async def _until_complete(gw: Running, *, without: int = 0) -> None:
    """Wait until all workers serve, `without` not being one of them any more."""
    async with asyncio.timeout(30):
        while True:
            async with gw.http.get(gw.admin_url + "/readyz") as response:
                up = (await response.json()).get("workers")
            alive = _workers(gw)  # who was killed is gone before its supervisor knows, so the next one has to be there
            if up == WORKERS and without not in alive and len(alive) >= WORKERS:
                return
            await asyncio.sleep(0.05)


async def reload_under_load() -> list[Figure]:
    reloads = 8
    async with ScriptedUpstream(then=healthy) as up:
        document = config({"up": {"base_url": up.base_url}}, server={"workers": WORKERS})
        async with running(document) as gw:
            outcomes: Counter[bool] = Counter()
            is_over = False

            async def hand(number: int) -> None:
                while not is_over:
                    outcome = await ask(gw.http, gw.url, chat("hello", stream=number % 2 == 0))
                    outcomes[outcome.is_success] += 1

            hands = [asyncio.create_task(hand(number)) for number in range(8)]
            file = gw.folder / "gateway.yaml"
            as_written = json.loads(file.read_text())
            for number in range(reloads):
                file.write_text(json.dumps({**as_written, "lease_s": 60 + number}))
                os.kill(gw.pid, signal.SIGHUP)
                await _until_reloaded(gw, number + 1)
            is_over = True
            await asyncio.gather(*hands)
            async with gw.http.post(gw.url + CHAT, data=b"{", headers=AUTHORIZED) as response:
                assert response.status == 400
    return [
        Figure(
            f"{reloads} reloads of {WORKERS} workers under load: failed requests",
            f"{outcomes[False]} of {outcomes.total():,}",
            "none",
            not outcomes[False],
        )
    ]


async def _until_reloaded(gw: Running, times: int) -> None:
    async with asyncio.timeout(30):
        while True:
            async with gw.http.get(gw.admin_url + "/metrics") as response:
                text = await response.text()
            if f'gateway_config_reloads_total{{result="ok"}} {times:.1f}' in text:
                return
            await asyncio.sleep(0.1)


def main() -> list[Figure]:
    return [*uvloop.run(stop_under_load()), *uvloop.run(kill_a_worker()), *uvloop.run(reload_under_load())]
