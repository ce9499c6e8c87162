"""One target under one workload for a moment: load on it, and what that cost by the books of the system."""

import itertools
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench import children, load
from tests.bench.children import Child
from tests.bench.load import Job
from tests.bench.report import DIRECT, Ready, Sample
from tests.bench.targets import BEARER, Place, Target
from tests.bench.upstreams import Upstream
from tests.bench.workloads import Workload

PROBES = 10
"""Requests that targets and we may send to the upstream in a round, beside the load."""
WARM_UPS = 5
"""A machine may be so busy that a target gets no turn for a second."""
_nonces = itertools.count()


@dataclass(frozen=True, slots=True)
class Running:
    """A target that answers; without a child it is the upstream itself."""

    name: str
    port: int
    headers: Mapping[str, str]
    child: Child | None
    ready: Ready


def start(target: Target, upstream: Upstream, folder: Path, *, redis_url: str, cores: Collection[int]) -> Running:
    """Raises RuntimeError, and FileNotFoundError where there is no such program."""
    folder.mkdir()
    place = Place(folder, children.free_port(), children.free_port(), upstream.port, redis_url)
    launch = target.launch(place)
    for name, text in launch.files.items():
        (folder / name).write_text(text)
    child = Child(launch.argv, folder, cores=cores, env=launch.env)
    try:
        wall_s = child.wait_until_ready(launch.ready_port, launch.ready_path, target.ready_timeout_s)
    except RuntimeError:
        child.stop()
        raise
    return Running(target.name, place.port, launch.headers, child, Ready(wall_s, children.cpu_s(child.pid)))


def straight_to(upstream: Upstream) -> Running:
    return Running(DIRECT, upstream.port, BEARER, None, Ready(0.0, 0.0))


def warm_up(running: Running, workload: Workload, seconds: float) -> str | None:
    """Under load until it has answered, `seconds` at a time; what went wrong, or None."""
    words = "no answers"
    for _ in range(WARM_UPS):
        outcome = load.run(_job(running, workload, seconds))
        if outcome.errors:
            words = ", ".join(f"{n} x {kind}" for kind, n in outcome.errors.items())
            break
        if outcome.good:
            return None
    return f"{words}; {running.child.last_words() if running.child else ''}"


def sample(
    running: Running, workload: Workload, upstream: Upstream, *, round_: int, seconds: float, core: int
) -> Sample:
    pid = running.child.pid if running.child else None
    asked, began, (busy_s, stolen_s) = upstream.asked(), time.monotonic(), children.busy_s(core)
    cpu_s = children.cpu_s(pid) if pid else 0.0
    outcome = load.run(_job(running, workload, seconds))
    cpu_s = children.cpu_s(pid) - cpu_s if pid else 0.0
    wall_s, (now_busy_s, now_stolen_s) = time.monotonic() - began, children.busy_s(core)
    asked = upstream.asked() - asked
    others_s = max(0.0, now_busy_s - busy_s - cpu_s) + now_stolen_s - stolen_s
    return Sample(
        workload=workload.name,
        target=running.name,
        round=round_,
        good=outcome.good,
        errors=outcome.errors | _not_as_meant(workload, outcome.good, asked),
        rate=outcome.good / outcome.seconds,
        cpu_us=cpu_s / max(1, outcome.good) * 1e6,
        p50_us=outcome.p50_us,
        p99_us=outcome.p99_us,
        memory_mb=children.memory_mb(pid) if pid else 0.0,
        upstream_asked=asked,
        others_share=others_s / wall_s,
    )


def _job(running: Running, workload: Workload, seconds: float) -> Job:
    nonce = f"{os.getpid()}-{next(_nonces)}" if workload.is_unique else f"{os.getpid()}-same"
    return Job(
        port=running.port,
        connections=workload.connections,
        seconds=seconds,
        nonce=nonce,
        is_unique=workload.is_unique,
        is_stream=workload.is_stream,
        user=workload.user,
        headers=dict(running.headers),
    )


def _not_as_meant(workload: Workload, good: int, asked: int) -> dict[str, int]:
    """No answer at all, a hit that went to the upstream after all, or a miss that did not."""
    if not good:
        return {"no answers": 1}
    if not workload.is_unique:
        return {"hits that were none": asked - PROBES} if asked > PROBES else {}
    # Whoever was measured before may have left a request on each connection, and so does this one at its end.
    missing, surplus = good - asked, asked - good - 2 * workload.connections - PROBES
    if missing > 0:
        return {"misses that were none": missing}
    return {"asked twice": surplus} if surplus > 0 else {}
