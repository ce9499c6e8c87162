"""Load on a target, from a process of its own: requests back to back on a number of connections.

wrk does it where it is installed and the answers are whole; else `python -m tests.bench.load JOB`, the
same thing on asyncio, which costs more CPU on the load's core and nothing on the target's.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

from tests.bench.mock_upstream import EVENTS

ROOT = Path(__file__).parent.parent.parent
WRK_SCRIPT = Path(__file__).with_name("wrk.lua")
PATH = "/v1/chat/completions"
NONCE = "@@NONCE@@"
TIMEOUT_S = 30.0
"""How long streams that are under way at the end may take."""
STAGGER_S = 0.0003
"""Between the first requests of streams, so that their events do not come in step."""

SYSTEM = (
    "You are a support assistant for a small online shop. Answer in plain words, keep it short, "
    "and say when you don't know."
)
QUESTION = (
    f"Request {NONCE}. My parcel should have come Tuesday, but the tracking page has shown 'in transit' "
    "since Friday. I paid for express delivery. Should I keep waiting or ask for my money back, and what "
    "do the shop's rules say about express parcels that are late?"
)


def request_body(*, user: str = "bench", is_stream: bool = False) -> str:
    """A chat completion of 523 bytes, more for a stream; NONCE stands where requests differ."""
    fields: dict[str, Any] = {"model": "gpt-4o-mini", "temperature": 0, "max_tokens": 256}
    if is_stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    return json.dumps({**fields, "messages": messages, "user": user}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Job:
    port: int
    connections: int
    seconds: float
    nonce: str
    """Begins that of every request, or is it where `is_unique` is false."""
    is_unique: bool = True
    is_stream: bool = False
    user: str = "bench"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> str:
        return request_body(user=self.user, is_stream=self.is_stream)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`good` answers in `seconds`; latency of whole answers, time to the first byte of streams."""

    good: int
    errors: dict[str, int]
    seconds: float
    p50_us: float
    p99_us: float


def run(job: Job) -> Outcome:
    """Puts the load on and returns when it is over."""
    if not job.is_stream and (wrk := shutil.which("wrk")):
        return _run_wrk(wrk, job)
    argv = [sys.executable, "-m", "tests.bench.load", json.dumps(asdict(job))]
    ran = subprocess.run(
        argv, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True, timeout=job.seconds + 2 * TIMEOUT_S
    )
    return Outcome(**json.loads(ran.stdout))


def _run_wrk(wrk: str, job: Job) -> Outcome:
    size = ("-t1", f"-c{job.connections}", f"-d{max(1, round(job.seconds))}s", "--timeout", "10s")
    argv = [wrk, *size, "-s", str(WRK_SCRIPT), f"http://127.0.0.1:{job.port}{PATH}"]
    env = {
        "BENCH_BODY": job.body,
        "BENCH_NONCE": job.nonce,
        "BENCH_UNIQUE": "1" if job.is_unique else "",
        "BENCH_HEADERS": "".join(f"{name}: {value}\n" for name, value in job.headers.items()),
    }
    ran = subprocess.run(argv, env={**os.environ, **env}, stdout=subprocess.PIPE, check=True, text=True, timeout=60)
    return Outcome(**json.loads(ran.stdout.rpartition("OUTCOME")[2]))


# ------------------------------------------------------------------ without wrk, and for streams


class Load:
    """What all connections of a job share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.is_over = False
        self.errors: Counter[str] = Counter()
        self.waits_s: list[float] = []
        self._sent = 0
        self._before, self._after = job.body.split(NONCE)
        lines = [f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{job.port}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in job.headers.items()]
        self._head = "\r\n".join(lines)

    def next_request(self) -> bytes:
        self._sent += 1
        nonce = f"{self.job.nonce}-{self._sent:08}" if self.job.is_unique else self.job.nonce
        body = (self._before + nonce + self._after).encode()
        return f"{self._head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        connections = []
        for _ in range(self.job.connections):
            connections.append((await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.job.port))[1])
            if self.job.is_stream:
                await asyncio.sleep(STAGGER_S)
        await asyncio.sleep(began + self.job.seconds - time.perf_counter())
        self.is_over = True
        _, hung = await asyncio.wait([connection.closed for connection in connections], timeout=TIMEOUT_S)
        if hung:
            self.errors["hung"] += len(hung)
        waits = sorted(self.waits_s) or [0.0]
        return Outcome(
            good=len(self.waits_s),
            errors=dict(self.errors),
            seconds=time.perf_counter() - began,
            p50_us=waits[len(waits) // 2] * 1e6,
            p99_us=waits[len(waits) * 99 // 100] * 1e6,
        )


class Connection(asyncio.Protocol):
    """Sends, reads the whole answer, looks whether it is one, and sends again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._began = time.perf_counter()
        self._first_s = 0.0
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._first_s = time.perf_counter() - self._began
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        if self._parser.get_status_code() != 200:
            self._load.errors[f"status {self._parser.get_status_code()}"] += 1
        elif self._load.job.is_stream and not is_whole_stream(body):
            self._load.errors["incomplete stream"] += 1
        else:
            whole_s = time.perf_counter() - self._began
            self._load.waits_s.append(self._first_s if self._load.job.is_stream else whole_s)
        if self._load.is_over:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.is_over:
            self._load.errors["connection lost"] += 1
        self.closed.set_result(None)


def is_whole_stream(body: bytes) -> bool:
    return body.count(b"data: ") == EVENTS and body.endswith(b"data: [DONE]\n\n")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(uvloop.run(Load(Job(**json.loads(sys.argv[1]))).run()))))
