"""Several workers behind one port: they are started, started anew when they die, and stopped together.

Each worker opens the port itself (SO_REUSEPORT) and the kernel spreads connections over them. The
supervisor serves no traffic: it holds the port, answers on the admin port for all of them, and adds
up the metrics they push.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from gateway.config.load import Loaded
from gateway.config.model import Config
from gateway.config.process import Server
from gateway.errors import ConfigError, ProcessSilent
from gateway.server import frames
from gateway.server.admin import admin_app
from gateway.server.crew import Arguments, heard
from gateway.server.frames import Kind
from gateway.server.reload import Reloads, reloading
from gateway.server.run import Serving, serving
from gateway.telemetry import snapshot
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.snapshot import Totals
from gateway.wire import json_bytes

log = logging.getLogger(__name__)

_STEADY_S = 10.0
"""A worker that lived this long is replaced at once; another one after a pause that doubles each time."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0
_STOP_GRACE_S = 10.0
"""How much longer than the drain a worker may take to stop before it is killed."""
_ANSWER_S = 5.0
"""How long a worker may take to answer an operator's question."""
_PREPARE_S = 30.0
"""How long it may take to build the gateway of another configuration."""


async def serve(
    loaded: Loaded, announce: Callable[[Serving], None], *, read: Callable[[], Loaded] | None = None
) -> None:
    """Serve with `server.workers` processes until SIGTERM or SIGINT; `announce` is told once all of them listen.

    `read` reads the configuration anew.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    server = loaded.config.server
    with _holding(server.host, server.port) as port:
        as_read, server = loaded, server.model_copy(update={"port": port})
        loaded = replace(loaded, config=loaded.config.model_copy(update={"server": server}))
        crew = WorkerCrew(loaded)
        admin = admin_app(crew, loaded.config)
        async with serving(admin, server, server.admin.host, server.admin.port, drain_s=1) as admin_url:
            try:
                url = await crew.start(stop)
                if url is not None:
                    announce(Serving(url, admin_url))
                    async with reloading(_reloads(as_read, crew, read, server)):
                        await crew.work_until(stop)
            finally:
                log.info("stopping: requests in flight have %g s to finish", server.drain_s)
                await crew.stop()


def _reloads(loaded: Loaded, crew: "WorkerCrew", read: Callable[[], Loaded] | None, server: Server) -> Reloads | None:
    if read is None:
        return None
    return Reloads(loaded, read=read, change=crew.change, count=crew.count_reload, server=server)


@contextlib.contextmanager
def _holding(host: str, port: int) -> Iterator[int]:
    """Keep `port` (0: a free one) for the workers; ConfigError when it is somebody else's."""
    with contextlib.ExitStack() as stack:
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            with socket.socket(family, socket.SOCK_STREAM) as alone:  # sharing comes later: not with another gateway
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                alone.bind(address)
                address = alone.getsockname()
            held = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(address)  # and never listens, so that no connection ends here
        except OSError as error:
            raise ConfigError([f"cannot listen on {host}:{port}: {error.strerror or error}"]) from None
        yield int(address[1])


class WorkerCrew:
    """All workers of one configuration."""

    def __init__(self, loaded: Loaded) -> None:
        self._totals = Totals()
        self._own = Metrics(lambda _: "")
        """What is counted here and in no worker."""
        self._workers = [Worker(n, loaded, self._totals) for n in range(1, loaded.config.server.workers + 1)]
        self._tasks: list[asyncio.Task[None]] = []
        self._stop_within_s = loaded.config.server.drain_s + _STOP_GRACE_S
        self._is_stopping = False

    @property
    def config(self) -> Config:
        return self._workers[0].loaded.config

    async def start(self, stop: asyncio.Event) -> str | None:
        """Start them all; the URL they share, None when `stop` comes first. ConfigError when one cannot serve."""
        self._tasks = [asyncio.create_task(worker.keep(), name="keep a worker") for worker in self._workers]
        ready = asyncio.create_task(self._url(), name="wait for the workers")
        await self._first_of(ready, asyncio.create_task(stop.wait(), name="wait for the stop"))
        return None if stop.is_set() else ready.result()

    async def work_until(self, stop: asyncio.Event) -> None:
        await self._first_of(asyncio.create_task(stop.wait(), name="wait for the stop"))

    async def _url(self) -> str:
        urls = [await asyncio.shield(worker.ready) for worker in self._workers]
        return urls[0]

    async def _first_of(self, *tasks: asyncio.Task[Any]) -> None:
        """Wait for one of `tasks`; raises what ends the keeping of a worker before."""
        await asyncio.wait([*tasks, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for kept in self._tasks:
            if kept.done():
                kept.result()

    async def change(self, loaded: Loaded) -> None:
        """Have all workers serve `loaded`; ConfigError, and none of them does, where one cannot."""
        up = [worker for worker in self._workers if worker.is_up]
        answers = await asyncio.gather(*(worker.prepare(loaded) for worker in up), return_exceptions=True)
        problems = [problem for answer in answers for problem in _problems(answer)]
        for worker in up:
            worker.settle(None if problems else loaded)
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        for worker in self._workers:
            worker.loaded = loaded

    def count_reload(self, result: str) -> None:
        self._own.count_reload(result)
        self._totals.update(os.getpid(), snapshot.take(self._own))

    async def stop(self) -> None:
        self._is_stopping = True
        for worker in self._workers:
            worker.stop()
        _, late = await asyncio.wait(self._tasks, timeout=self._stop_within_s)
        for worker in self._workers if late else ():
            worker.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------ what the admin port asks

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        if self._is_stopping:
            return False, {"status": "draining"}
        up = sum(worker.is_up for worker in self._workers)
        return up > 0, {"status": "ready" if up else "starting", "workers": up}

    def metrics(self, accept: str) -> tuple[bytes, str]:
        return self._totals.render(accept)

    async def ask(self, question: str, arguments: Arguments) -> list[Any]:
        up = [worker for worker in self._workers if worker.is_up]
        return await asyncio.gather(*(worker.ask(question, arguments) for worker in up))


class Worker:
    """One of them, whatever process it is at the moment."""

    def __init__(self, number: int, loaded: Loaded, totals: Totals) -> None:
        self._number = number
        self.loaded = loaded
        """What its next process begins with."""
        self._serves = loaded
        """What the present one began with, or was told to change to."""
        self._totals = totals
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Its URL, once it has served for the first time."""
        self.is_up = False
        self._channel: asyncio.StreamWriter | None = None
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._asked = 0

    async def keep(self) -> None:
        """Have it running until `stop`. Raises ConfigError when it ends before it has ever served."""
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run()
            if self._stopping.is_set():
                return
            if not self.ready.done():
                raise ConfigError([f"worker {self._number} ended before it could serve (exit code {code})"])
            log.error("worker %d ended (exit code %d); another takes its place", self._number, code)
            if loop.time() - began >= _STEADY_S:
                pause_s = _FIRST_PAUSE_S
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def _run(self) -> int:
        """One process from start to end; its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            argv = (sys.executable, "-m", "gateway.server.worker", str(theirs.fileno()))
            self._process = process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        if self._stopping.is_set():
            process.terminate()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            self._serves = self.loaded
            frames.send(writer, Kind.CONFIG, pickle.dumps(self.loaded))
            self._channel = writer
            await self._listen(reader, process.pid)
        finally:
            self.is_up = False
            self._channel = None
            for waiting in self._questions.values():
                waiting.cancel()
            self._totals.leave(process.pid)
            writer.close()
        return await process.wait()

    async def _listen(self, reader: asyncio.StreamReader, pid: int) -> None:
        """Its URL, then its metrics and answers, until it closes."""
        while (message := await frames.receive(reader)) is not None:
            match message:
                case Kind.URL, url:
                    self.is_up = True
                    if self._serves is not self.loaded:  # there was a reload while it started
                        self._signal(signal.SIGTERM)
                    if not self.ready.done():
                        self.ready.set_result(url.decode())
                case Kind.METRICS, snapshot:
                    self._totals.update(pid, snapshot)
                case Kind.ANSWER, answer:
                    self._hear(*json_bytes.loads(answer))

    async def ask(self, question: str, arguments: Arguments) -> Any:
        """What this worker answers; ProcessSilent when it does not in time, or dies meanwhile."""
        return await self._exchange(
            Kind.QUESTION, lambda number: json_bytes.dumps([number, question, dict(arguments)]), _ANSWER_S
        )

    async def prepare(self, loaded: Loaded) -> list[str]:
        """Have it build the gateway of `loaded`: what stands against that. ProcessSilent as for `ask`."""
        content = pickle.dumps(loaded)
        problems: list[str] = await self._exchange(
            Kind.PREPARE, lambda number: number.to_bytes(4, "big") + content, _PREPARE_S
        )
        return problems

    def settle(self, loaded: Loaded | None) -> None:
        """Have it serve what it has prepared, `loaded`, or with None drop it."""
        if self._channel is not None:
            frames.send(self._channel, Kind.SETTLE, json_bytes.dumps(loaded is not None))
            self._serves = loaded or self._serves

    async def _exchange(self, kind: Kind, message: Callable[[int], bytes], timeout_s: float) -> Any:
        silent = ProcessSilent(f"Worker {self._number}")
        if self._channel is None:
            raise silent
        self._asked = number = self._asked + 1
        waiting = self._questions[number] = asyncio.get_running_loop().create_future()
        frames.send(self._channel, kind, message(number))
        try:
            await asyncio.wait([waiting], timeout=timeout_s)
            if not waiting.done() or waiting.cancelled():
                raise silent
            return waiting.result()
        finally:
            del self._questions[number]

    def _hear(self, number: int, answer: Any, error: list[str | None] | None) -> None:
        waiting = self._questions.get(number)
        if waiting is None or waiting.done():  # it came too late
            return
        if error is None:
            waiting.set_result(answer)
        else:
            waiting.set_exception(heard(error))

    def stop(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, name: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(name)


def _problems(answer: list[str] | BaseException) -> list[str]:
    """What speaks against a reload, in what a worker said to it; one that died meanwhile begins with the new one."""
    if isinstance(answer, ProcessSilent):
        return [answer.message]
    if isinstance(answer, BaseException):
        raise answer
    return answer
