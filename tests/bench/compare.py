"""The gateway beside nginx, and beside its peers where they are installed: `make bench`, or

    python -m tests.bench.compare [--quick] [--json FILE] [--markdown FILE] [--against CHECKOUT]

Starts everything itself: nginx as a plain proxy and with its cache, a mock upstream, a real Redis and
`gateway serve` with every feature on. The target under load has the first core to itself; load,
upstream and Redis share the second. Workloads run in rounds in which every target has its turn, in an
order that rotates. The figure to trust is CPU time per request as a multiple of nginx's in the same
round: requests a second and latency say as much about the neighbours and the load generator.

Linux only, for it reads other processes' CPU clocks. Exit code 1 where a target failed that should not.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any

from gateway import __version__
from tests.bench import measure, peers, report
from tests.bench.load import ROOT
from tests.bench.measure import Running
from tests.bench.report import Ready, Sample
from tests.bench.targets import YARDSTICKS, Target, gateways, workers
from tests.bench.upstreams import Upstream, running_upstream
from tests.bench.workloads import WORKLOADS, Workload
from tests.support.redis_server import RedisServer, find_binary

WARM_UP_S = 1.0
GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seconds: float
    workloads: tuple[Workload, ...]
    targets: tuple[Target, ...]
    skipped: dict[str, str]
    """Targets that are not here, and how they would be."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all workloads of a run share."""

    plan: Plan
    folder: Path
    redis_url: str
    target_core: int
    other_core: int
    samples: list[Sample] = field(default_factory=list)
    starts: list[Ready] = field(default_factory=list)
    """Of the gateway."""
    failed: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        for kind in dict.fromkeys(workload.upstream for workload in self.plan.workloads):
            workloads = [workload for workload in self.plan.workloads if workload.upstream == kind]
            with ExitStack() as stack:
                upstream = stack.enter_context(running_upstream(kind, self.folder / kind, self.other_core))
                targets = self._start(workloads, upstream, self.folder / kind, stack)
                for workload in workloads:
                    self._measure(workload, targets, upstream)

    def time_starts(self) -> None:
        """Start the gateway alone, as often as there are rounds."""
        gateway = next((target for target in self.plan.targets if target.name == GATEWAY), None)
        if gateway is None:
            return
        for n in range(self.plan.rounds):
            running = self._start_one(gateway, Upstream(1, is_nginx=False), self.folder / f"start-{n}")
            if running is not None and running.child is not None:
                running.child.stop()

    def _start(
        self, workloads: Sequence[Workload], upstream: Upstream, folder: Path, stack: ExitStack
    ) -> dict[str, Running]:
        wanted = {workload.name for workload in workloads}
        found = {}
        for target in self.plan.targets:
            if not wanted.intersection(target.does):
                continue
            running = self._start_one(target, upstream, folder / target.name)
            if running is not None and running.child is not None:
                stack.callback(running.child.stop)
                found[target.name] = running
        return found

    def _start_one(self, target: Target, upstream: Upstream, folder: Path) -> Running | None:
        try:
            cores = {self.target_core, self.other_core} if target.has_all_cores else {self.target_core}
            running = measure.start(target, upstream, folder, redis_url=self.redis_url, cores=cores)
        except (RuntimeError, FileNotFoundError) as error:
            self._fail(target.name, str(error))
            return None
        tell(f"started  {target.name:22} ready after {running.ready.wall_s:.2f} s, {running.ready.cpu_s:.2f} s CPU")
        if target.name == GATEWAY:
            self.starts.append(running.ready)
        return running

    def _measure(self, workload: Workload, running: dict[str, Running], upstream: Upstream) -> None:
        tell(f"\n{workload.name}: {workload.says}")
        able = {target.name for target in self.plan.targets if workload.name in target.does}
        order = [target for name, target in running.items() if name in able and self._warms_up(target, workload)]
        if workload.is_idle:
            order.append(measure.straight_to(upstream))
        for round_ in range(self.plan.rounds):
            for target in _rotated(order, round_):
                sample = measure.sample(
                    target, workload, upstream, round_=round_, seconds=self.plan.seconds, core=self.target_core
                )
                self.samples.append(sample)
                _tell_sample(sample)

    def _warms_up(self, target: Running, workload: Workload) -> bool:
        problem = measure.warm_up(target, workload, WARM_UP_S)
        if problem is not None:
            self._fail(f"{target.name}, {workload.name}", problem)
        return problem is None

    def _fail(self, name: str, problem: str) -> None:
        tell(f"FAILED   {name}: {problem}")
        self.failed[name] = problem


def _rotated(order: Sequence[Running], by: int) -> list[Running]:
    start = by % len(order) if order else 0
    return [*order[start:], *order[:start]]


def tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _tell_sample(sample: Sample) -> None:
    errors = ", ".join(f"{n} x {kind}" for kind, n in sample.errors.items()) or "no errors"
    tell(
        f"  {sample.round + 1}  {sample.target:22}{sample.rate:9,.0f}/s{sample.cpu_us:11,.1f} us CPU"
        f"{sample.p50_us:10,.0f} us p50   {errors}; others on its core {sample.others_share:.0%}"
    )


# ------------------------------------------------------------------ what to do, and what was done


def plan(options: argparse.Namespace) -> Plan:
    skipped = {}
    targets = list(YARDSTICKS) if which("nginx") else []
    if not targets:
        skipped["nginx"] = "`apt install nginx-light`; without it there are absolute figures only"
    targets += [*gateways(ROOT), workers(ROOT, 1), workers(ROOT, 2)]
    if options.against:
        targets += gateways(options.against.resolve(), suffix=f" of {options.against.name}")
    targets += peers.targets()
    skipped |= peers.missing()
    if find_binary() is None:
        skipped |= {target.name: "needs a redis-server on PATH" for target in targets if target.needs_redis}
    if options.targets:
        targets = [target for target in targets if target.name in options.targets]
    return Plan(
        rounds=options.rounds or (2 if options.quick else 5),
        seconds=options.seconds or (1.0 if options.quick else 2.0),
        workloads=tuple(workload for workload in WORKLOADS if workload.name in options.workloads),
        targets=tuple(target for target in targets if target.name not in skipped),
        skipped=skipped,
    )


@contextmanager
def running_redis() -> Iterator[str]:
    """Its URL; empty where there is none to start."""
    binary = find_binary()
    if binary is None:
        yield ""
        return
    server = RedisServer(binary)
    server.start()
    try:
        yield server.url
    finally:
        server.close()


def circumstances(command: str) -> dict[str, Any]:
    """Where, when and of what the figures are."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ": unknown")
    return {
        "command": command,
        "gateway": f"{__version__} ({_commit()})",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {cpu.partition(':')[2].strip()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "nginx": _first_line("nginx", "-v").rpartition("/")[2],
        "peers": ", ".join(f"{peer.name} {peer.version}" for peer in peers.found()) or "none",
        "load": "wrk; streams on asyncio" if which("wrk") else "asyncio (`apt install wrk` disturbs less)",
    }


def _commit() -> str:
    commit = _first_line("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = _first_line("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return f"{commit or 'no commit'}{', changed' if changed else ''}"


def _first_line(*argv: str) -> str:
    if which(argv[0]) is None:
        return ""
    ran = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return ran.stdout.partition("\n")[0] if ran.returncode == 0 else ""


def written(bench: Bench, facts: dict[str, Any], *, is_markdown: bool) -> str:
    """The whole report as text."""
    show = report.markdown if is_markdown else report.plain
    found = {workload.name: report.rows(bench.samples, workload) for workload in bench.plan.workloads}
    parts = ["\n".join(f"{'- ' if is_markdown else ''}{name}: {value}" for name, value in facts.items())]
    parts.append(show(report.goal_table(found, bench.starts)))
    for workload in bench.plan.workloads:
        heading = f"{'### ' if is_markdown else ''}{workload.name}: {workload.says}"
        parts += [heading, show(report.workload_table(found[workload.name], workload))]
    parts.append(report.noise(bench.samples))
    if bench.failed or bench.plan.skipped:
        lines = [f"failed: {name}: {why}" for name, why in bench.failed.items()]
        lines += [f"not here: {name}: {why}" for name, why in bench.plan.skipped.items()]
        parts.append("\n".join(f"- {line}" if is_markdown else line for line in lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    target_core, other_core = cores[0], cores[min(1, len(cores) - 1)]
    os.sched_setaffinity(0, {other_core})  # inherited by Redis and the load
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder, running_redis() as redis_url:
        bench = Bench(plan(options), Path(folder), redis_url, target_core, other_core)
        bench.time_starts()
        bench.run()
    facts = circumstances(_command(sys.argv[1:]))
    facts["rounds"] = f"{bench.plan.rounds} of {bench.plan.seconds:g} s"
    sys.stdout.write("\n" + written(bench, facts, is_markdown=False))
    if options.markdown:
        options.markdown.write_text(written(bench, facts, is_markdown=True))
    if options.json:
        raw = {
            **facts,
            "samples": [asdict(sample) for sample in bench.samples],
            "starts": [asdict(ready) for ready in bench.starts],
        }
        options.json.write_text(json.dumps({**raw, "failed": bench.failed, "skipped": bench.plan.skipped}, indent=1))
    sys.exit(1 if bench.failed else 0)


def _command(arguments: Sequence[str]) -> str:
    """How to get these figures again, wherever they were written to."""
    files = {n for n, argument in enumerate(arguments) if argument in ("--json", "--markdown")}
    kept = [argument for n, argument in enumerate(arguments) if not files & {n, n - 1}]
    return f'make bench ARGS="{" ".join(kept)}"' if kept else "make bench"


def _options() -> argparse.Namespace:
    names = ",".join(workload.name for workload in WORKLOADS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s, to see whether all is well")
    parser.add_argument("--rounds", type=int, help="default: 5")
    parser.add_argument("--seconds", type=float, help="of each target in each round; default: 2")
    parser.add_argument("--workloads", type=_names, default=_names(names), help=f"default: {names}")
    parser.add_argument("--targets", type=_names, default=(), help="default: all that are here")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="another checkout's gateway, in the same rounds"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    main()
