"""The one Redis client: bytes under names and scripts, within a deadline, or StoreUnavailable.

Two things make it more than a library's:

* All commands of one turn of the event loop leave in one write, over one connection, without waiting
  for answers to earlier ones (`resp.py`). A command costs a tenth of the CPU that redis-py takes for it.
* It never makes a request wait for a server that is known to be away. Connecting happens in the
  background; the first command that fails opens a circuit, and until a ping gets through again
  every command fails at once.

      start ──► away ──── connected, ping answered in time ────► up
                  ▲                                              │
                  └── a command or the heartbeat failed, late ◄──┘

A failure gives up the connection, so that a late answer is never read as another's.
"""

import asyncio
import hashlib
import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from gateway.clock import Clock
from gateway.errors import ConfigError, StoreUnavailable
from gateway.resp import Address, Arg, Connection, Refused, ScriptMissing, connect

__all__ = ["Arg", "Kv", "Script"]

log = logging.getLogger(__name__)

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
"""A deadline may pass while the loop is busy elsewhere; the answer is then in the socket, a few turns away."""


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


class Kv:
    """A client of the server at `url` (redis://, rediss:// or unix://), used as an async context manager.

    Commands answer within `timeout_s` seconds or raise StoreUnavailable. What that means is the
    caller's to say: each store states whether it fails open or closed.
    """

    def __init__(self, url: str, *, timeout_s: float, clock: Clock) -> None:
        self.errors: Counter[str] = Counter()
        """Failed commands by name, those refused while the server was away included."""
        self._times_up = 0
        self._address = _parse(url)
        self._timeout_s = timeout_s
        self._clock = clock
        self._connection: Connection | None = None
        """The one that is up."""
        self._commands: list[tuple[Arg, ...]] = []
        self._replies: list[asyncio.Future[object]] = []
        """What waits for the end of this turn of the loop."""
        self._sent: deque[tuple[float, int]] = deque()
        """When commands left, and how many the connection must have answered to have answered them too."""
        self._watch: asyncio.TimerHandle | asyncio.Handle | None = None
        self._down = asyncio.Event()
        self._up = asyncio.Event()
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
        self._flush()
        if self._connection is not None and self._connection.waiting:
            await asyncio.wait(list(self._connection.waiting))  # the watch ends those that come too late
        self._up.clear()
        self._drop()

    @property
    def is_up(self) -> bool:
        """Whether the server answered last time; while it did not, commands fail at once."""
        return self._connection is not None

    @property
    def times_up(self) -> int:
        """How often a connection came up: what was read under another number may be of another server."""
        return self._times_up

    @property
    def servers(self) -> "Sequence[Kv]":
        """A client of each server that has a part of the keys."""
        return (self,)

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

    async def get_or_set(self, name: str, value: bytes, ttl_s: float) -> bytes | None:
        """What stands under `name`; None: nothing did, and for `ttl_s` seconds `value` does. Wants Redis 7.0."""
        found = await self._ask("get", "SET", name, value, "NX", "GET", "PX", max(1, round(ttl_s * 1000)))
        assert found is None or isinstance(found, bytes)
        return found

    async def delete(self, name: str) -> None:
        await self._ask("delete", "UNLINK", name)

    async def run(self, script: Script, key: str, *args: Arg) -> object:
        """What `script` returns for the one `key` that names its slot; the server is sent the source if it lost it."""
        return await self._run(script, 1, key, *args)

    async def run_here(self, script: Script, *args: Arg) -> object:
        """What `script`, which names no key, returns on this server (of `servers`, where there are several)."""
        return await self._run(script, 0, *args)

    async def _run(self, script: Script, *args: Arg) -> object:
        answer = await self._send("EVALSHA", script.digest, *args)
        if isinstance(answer, ScriptMissing):  # nothing was done yet
            answer = await self._send("EVAL", script.source, *args)
        return self._checked(script.name, answer)

    async def info(self, section: str) -> dict[str, str]:
        """What the server says of itself (the command INFO)."""
        answer = await self._ask("info", "INFO", section)
        assert isinstance(answer, bytes)
        lines = (line.partition(":") for line in answer.decode().splitlines() if not line.startswith("#"))
        return {name: value for name, separator, value in lines if separator}

    async def _ask(self, op: str, *args: Arg) -> object:
        return self._checked(op, await self._send(*args))

    async def _send(self, *args: Arg) -> object:
        return _NOT_SENT if self._connection is None else await self._enqueue(args)

    def _checked(self, op: str, answer: object) -> object:
        if isinstance(answer, Exception):
            self.errors[op] += 1
            is_certain = answer is _NOT_SENT or isinstance(answer, Refused)
            raise StoreUnavailable(op, may_have_run=not is_certain) from answer
        return answer

    # ------------------------------------------------------------------ one turn, one write

    def _enqueue(self, args: tuple[Arg, ...]) -> asyncio.Future[object]:
        loop = asyncio.get_running_loop()
        if not self._commands:
            loop.call_soon(self._flush)
        self._commands.append(args)
        reply: asyncio.Future[object] = loop.create_future()
        self._replies.append(reply)
        return reply

    def _flush(self) -> None:
        connection = self._connection
        if not self._commands or connection is None:
            return
        commands, self._commands = self._commands, []
        replies, self._replies = self._replies, []
        connection.send(commands, replies)
        self._sent.append((self._clock.monotonic(), connection.answered + len(connection.waiting)))
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._timeout_s, self._look, _TURNS_OF_GRACE)

    # One timer watches all commands under way: one for each would cost more than the command.

    def _look(self, turns: int) -> None:
        """Has what was sent longest ago been answered in time? Then look again when the next one should be."""
        self._watch = None
        connection, sent = self._connection, self._sent
        if connection is None:
            return
        while sent and sent[0][1] <= connection.answered:
            sent.popleft()
        if not sent:
            return
        loop = asyncio.get_running_loop()
        left_s = self._timeout_s - (self._clock.monotonic() - sent[0][0])
        if left_s > 0:
            self._watch = loop.call_later(left_s, self._look, _TURNS_OF_GRACE)
        elif turns:
            self._watch = loop.call_soon(self._look, turns - 1)
        else:
            self._lost(connection, TimeoutError(f"no answer within {self._timeout_s} s"))

    # ------------------------------------------------------------------ up and down

    async def _keep_up(self) -> None:
        pause_s = _FIRST_PAUSE_S
        is_reported = False
        while True:
            try:
                connection = await self._connect()
            except Exception as error:  # whatever it was, the next attempt may do better
                if not is_reported:
                    log.warning("store %s cannot be reached, going on without it: %s", self._address, _reason(error))
                is_reported = True
                self._has_tried.set()
            else:
                up_since = self._clock.monotonic()
                self._go_up(connection)
                self._has_tried.set()
                await self._stay_up()
                is_reported = True
                if self._clock.monotonic() - up_since > _STEADY_S:
                    pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _connect(self) -> Connection:
        """A connection on which a ping was answered in the time of a command."""
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            connection = await connect(self._address, self._lost)
        try:
            async with asyncio.timeout(self._timeout_s):
                pong: asyncio.Future[object] = asyncio.get_running_loop().create_future()
                connection.send([("PING",)], [pong])
                if isinstance(answer := await pong, Exception):
                    raise answer
        except BaseException:
            connection.close()
            raise
        return connection

    async def _stay_up(self) -> None:
        """Returns when the server is found to be away: by a command, or by a look now and then while there are none."""
        while self.is_up:
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._down.wait()
            except TimeoutError:
                with suppress(StoreUnavailable):
                    await self._ask("ping", "PING")

    def _go_up(self, connection: Connection) -> None:
        self._connection = connection
        self._times_up += 1
        self._down.clear()
        self._up.set()
        log.info("store %s is up", self._address)

    def _lost(self, connection: Connection, error: Exception) -> None:
        """No answer comes over `connection` any more, or none that is wanted."""
        if connection is self._connection:
            log.warning("store %s is away, going on without it: %s", self._address, _reason(error))
            self._drop()
            self._up.clear()
            self._down.set()
            _end(self._replies, _NOT_SENT)
            self._commands, self._replies = [], []
        _end(connection.waiting, error)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._sent.clear()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if connection is not None:
            connection.close()


def _end(replies: Iterable[asyncio.Future[object]], error: Exception) -> None:
    for reply in replies:
        if not reply.done():  # its caller may have been cancelled
            reply.set_result(error)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _parse(url: str) -> Address:
    """ConfigError, which never repeats a password."""
    try:
        return Address.parse(url)
    except (ValueError, KeyError, OSError):
        text = "store: expected redis://[user:password@]host[:port][/database], escaped as in any URL"
        raise ConfigError([text]) from None
