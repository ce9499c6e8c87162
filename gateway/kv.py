"""The one Redis client: bytes under names and scripts, within a deadline, or StoreUnavailable.

Two things make it more than redis-py's:

* All commands of one turn of the event loop leave as one pipeline. Under load the turns are full,
  and a command costs a third of the CPU it costs alone.
* It never makes a request wait for a server that is known to be away. Connecting happens in the
  background; the first command that fails opens a circuit, and until a ping gets through again
  every command fails at once.

      start ──► away ──── connected, ping answered in time ────► up
                  ▲                                              │
                  └── a command or the heartbeat failed, late ◄──┘

A failed exchange gives up its connection, so that a late answer is never read as another's.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gateway.clock import Clock
from gateway.errors import ConfigError, StoreUnavailable

log = logging.getLogger(__name__)

_LANES = 8
"""Connections, each with one pipeline in flight. When all are busy commands gather for the next to come free."""
_FIRST_LOOK_S = 0.5
"""What a start waits for a server that does not answer; a gateway without its store is better than none."""
_CONNECT_TIMEOUT_S = 2.0
_HEARTBEAT_S = 5.0
"""How often an idle client looks whether the server is still there."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
"""Between two attempts to connect: doubled from the first to the longest."""
_STEADY_S = 10.0
"""Up for so long, the next failure begins with the first pause again; one that comes and goes is asked ever less."""
_TURNS_OF_GRACE = 10
"""A deadline may pass while the loop is busy elsewhere; the answer is then in the socket, four turns away."""


Arg = str | bytes | int


@dataclass(frozen=True, slots=True)
class Script:
    """Lua that the server runs as one step, known to it by its digest."""

    name: str
    """What `Kv.errors` counts it under."""
    source: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)


_NOT_SENT = ConnectionError("the store is away")


class _Command(NamedTuple):
    args: tuple[Arg, ...]
    reply: asyncio.Future[object]
    """The server's answer, or the exception that came instead of it."""


class Kv:
    """A client of the server at `url` (redis://, rediss:// or unix://), used as an async context manager.

    Commands answer within `timeout_s` seconds or raise StoreUnavailable. What that means is the
    caller's to say: each store states whether it fails open or closed.
    """

    def __init__(self, url: str, *, timeout_s: float, clock: Clock) -> None:
        self.errors: Counter[str] = Counter()
        """Failed commands by name, those refused while the server was away included."""
        self._pool, self._server = _parse(url)
        self._redis = Redis(connection_pool=self._pool)
        self._timeout_s = timeout_s
        self._clock = clock
        self._waiting: list[_Command] = []
        self._waiting_since = 0.0
        self._lanes: set[asyncio.Task[None]] = set()
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._has_tried = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Returns when the server has answered or refused, after `_FIRST_LOOK_S` in any case; more attempts follow."""
        self._keeper = asyncio.create_task(self._keep_up(), name="kv keeper")
        try:
            async with asyncio.timeout(_FIRST_LOOK_S):
                await self._has_tried.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._keeper.cancel()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commands already given get their time to be answered."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._up.clear()
        self._flush()
        while self._lanes:
            await asyncio.wait(self._lanes)
        await self._pool.aclose()

    @property
    def is_up(self) -> bool:
        """Whether the server answered last time; while it did not, commands fail at once."""
        return self._up.is_set()

    async def wait_until_up(self, timeout_s: float) -> bool:
        """Give the server `timeout_s` seconds to answer; whether it did."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._up.wait()
        except TimeoutError:
            return False

    # ------------------------------------------------------------------ commands

    async def get(self, name: str) -> bytes | None:
        value = await self._ask("get", "GET", name)
        assert value is None or isinstance(value, bytes)
        return value

    async def set(self, name: str, value: bytes, ttl_s: float) -> None:
        """Kept for `ttl_s` seconds, to the millisecond."""
        await self._ask("set", "SET", name, value, "PX", max(1, round(ttl_s * 1000)))

    async def delete(self, name: str) -> None:
        await self._ask("delete", "UNLINK", name)

    async def run(self, script: Script, key: str, *args: Arg) -> object:
        """What `script` returns for the one `key` that names its slot; the server is sent the source if it lost it."""
        answer = await self._send("EVALSHA", script.digest, 1, key, *args)
        if isinstance(answer, NoScriptError):  # nothing was done yet
            answer = await self._send("EVAL", script.source, 1, key, *args)
        return self._checked(script.name, answer)

    async def info(self, section: str) -> dict[str, object]:
        """What the server says of itself (the command INFO)."""
        answer = await self._ask("info", "INFO", section)
        assert isinstance(answer, dict)
        return answer

    async def _ask(self, op: str, *args: Arg) -> object:
        return self._checked(op, await self._send(*args))

    async def _send(self, *args: Arg) -> object:
        return await self._enqueue(args) if self.is_up else _NOT_SENT

    def _checked(self, op: str, answer: object) -> object:
        if isinstance(answer, Exception):
            self.errors[op] += 1
            is_certain = answer is _NOT_SENT or isinstance(answer, ResponseError)
            raise StoreUnavailable(op, may_have_run=not is_certain) from answer
        return answer

    # ------------------------------------------------------------------ one turn, one pipeline

    def _enqueue(self, args: tuple[Arg, ...]) -> asyncio.Future[object]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._waiting_since = self._clock.monotonic()
            loop.call_soon(self._flush)
        command = _Command(args, loop.create_future())
        self._waiting.append(command)
        return command.reply

    def _flush(self) -> None:
        """Send all that waits, if a lane is free; the deadline is that of the first that came."""
        if not self._waiting or len(self._lanes) >= _LANES:
            return
        batch, self._waiting = self._waiting, []
        lane = asyncio.create_task(self._exchange(batch), name="kv exchange")
        self._lanes.add(lane)
        left_s = self._timeout_s - (self._clock.monotonic() - self._waiting_since)
        deadline = asyncio.get_running_loop().call_later(max(0.0, left_s), _give_up, lane, _TURNS_OF_GRACE)
        lane.add_done_callback(partial(self._landed, deadline))

    def _landed(self, deadline: asyncio.TimerHandle, lane: asyncio.Task[None]) -> None:
        deadline.cancel()
        self._lanes.discard(lane)
        self._flush()

    async def _exchange(self, batch: list[_Command]) -> None:
        """Send `batch` and hand every command its answer; a caller that left meanwhile changes nothing for the rest."""
        pipeline = self._redis.pipeline(transaction=False)
        for command in batch:
            pipeline.execute_command(*command.args)
        failure: Exception = TimeoutError(f"no answer within {self._timeout_s} s")
        answers: list[object] = []
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            failure = error
        finally:  # cancelled: by the deadline, or with the whole loop
            if not answers:
                self._go_down(failure)
            _hand_out(batch, answers or [failure] * len(batch))

    # ------------------------------------------------------------------ up and down

    async def _keep_up(self) -> None:
        pause_s = _FIRST_PAUSE_S
        is_reported = False
        while True:
            try:
                await self._connect()
            except Exception as error:  # whatever it was, the next attempt may do better
                if not is_reported:
                    log.warning("store %s cannot be reached, going on without it: %s", self._server, _reason(error))
                is_reported = True
                self._has_tried.set()
            else:
                up_since = self._clock.monotonic()
                self._go_up()
                self._has_tried.set()
                await self._stay_up()
                is_reported = True
                if self._clock.monotonic() - up_since > _STEADY_S:
                    pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _connect(self) -> None:
        """Connect every lane, and have a ping answered in the time of a command."""
        async with asyncio.timeout(_CONNECT_TIMEOUT_S), AsyncExitStack() as held:
            for _ in range(_LANES):
                connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
                held.push_async_callback(self._pool.release, connection)
        async with asyncio.timeout(self._timeout_s):
            await self._redis.ping()

    async def _stay_up(self) -> None:
        """Returns when the server is found to be away: by a command, or by a look now and then while there are none."""
        while self.is_up:
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._down.wait()
            except TimeoutError:
                with suppress(StoreUnavailable):
                    await self._ask("ping", "PING")

    def _go_up(self) -> None:
        self._down.clear()
        self._up.set()
        log.info("store %s is up", self._server)

    def _go_down(self, error: Exception) -> None:
        if self.is_up:
            log.warning("store %s is away, going on without it: %s", self._server, _reason(error))
        self._up.clear()
        self._down.set()
        waiting, self._waiting = self._waiting, []
        _hand_out(waiting, [error] * len(waiting))


def _give_up(lane: asyncio.Task[None], turns: int) -> None:
    """Cancel `lane` unless its answer comes within so many more turns of the loop."""
    if lane.done():
        return
    if turns:
        asyncio.get_running_loop().call_soon(_give_up, lane, turns - 1)
    else:
        lane.cancel()


def _hand_out(batch: list[_Command], answers: Sequence[object]) -> None:
    for command, answer in zip(batch, answers, strict=True):
        if not command.reply.done():  # its caller may have been cancelled
            command.reply.set_result(answer)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _parse(url: str) -> tuple[ConnectionPool, str]:
    """Connections to `url`, none made yet, and its name for the log; ConfigError never repeats a password."""
    try:
        pool = ConnectionPool.from_url(
            url,
            protocol=2,  # under 3 redis-py skips its check for unread answers on pooled connections
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,  # lanes have their own deadline
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
        )
        parts = urlsplit(url)
        where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    except ValueError:
        raise ConfigError(
            ["store: expected redis://[user:password@]host[:port][/database], escaped as in any URL"]
        ) from None
    return pool, where
