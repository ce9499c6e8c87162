"""The store as a Redis Cluster, or behind Sentinels: the same commands as to one server (`kv.py`).

    redis+cluster://[user:password@]host:port[,host:port]…      any of its nodes
    redis+sentinel://[user:password@]host:port[,host:port]…/NAME[/database]      the password is the server's

In a cluster each master has a client of its own, so one that is away takes only its share of the keys with it.
Commands name one key, or keys of one slot. Who has which slot is asked for at the start, when a node says
MOVED, and every second while a node is away.
"""

import asyncio
import binascii
from collections.abc import Sequence
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from gateway.clock import Clock
from gateway.errors import ConfigError, StoreUnavailable
from gateway.kv import Kv
from gateway.resp import Address, Arg, Connection, Refused, connect

_SLOTS = 16_384
_LOOK_S = 1.0
"""Between two looks at who has which slot while a node is away."""
_ASK_TIMEOUT_S = 1.0
"""For a node or a sentinel to say where things are."""


def client_of(url: str, *, timeout_s: float, clock: Clock) -> Kv:
    """The client for `url`, whatever it names; ConfigError never repeats a password."""
    scheme = url.partition("://")[0]
    if scheme in ("redis+cluster", "rediss+cluster"):
        return ClusterKv(url, timeout_s=timeout_s, clock=clock)
    if scheme in ("redis+sentinel", "rediss+sentinel"):
        return SentinelKv(url, timeout_s=timeout_s, clock=clock)
    return Kv(url, timeout_s=timeout_s, clock=clock)


class SentinelKv(Kv):
    """The master that the sentinels name, whichever it is at the moment."""

    def __init__(self, url: str, *, timeout_s: float, clock: Clock) -> None:
        hosts, credentials, path, scheme = _split(url)
        name, _, database = path.strip("/").partition("/")
        if not name:
            raise _malformed("redis+sentinel://host:port[,host:port]…/NAME[/database]")
        self._sentinels = hosts
        self._name = name
        self._master = f"{scheme}://{credentials}{{}}/{database or 0}"
        super().__init__(self._master.format(hosts[0]), timeout_s=timeout_s, clock=clock)

    async def _connect(self) -> Connection:
        self._address = Address.parse(self._master.format(await self._where()))
        connection = await super()._connect()
        role = await _answer(connection, ("ROLE",))
        if not isinstance(role, list) or role[0] != b"master":
            connection.close()
            raise ConnectionError(f"{self._address} is no master")
        return connection

    async def _where(self) -> str:
        for sentinel in self._sentinels:
            with suppress(OSError, TimeoutError, Refused):
                found = await _ask_once(f"redis://{sentinel}", ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name))
                if isinstance(found, list):
                    return _host_and_port(found[0], found[1])
        raise ConnectionError(f"no sentinel knows the master {self._name}")


class ClusterKv(Kv):
    """All masters of a cluster. `is_up` while one of them is."""

    def __init__(self, url: str, *, timeout_s: float, clock: Clock) -> None:
        self._seeds, self._credentials, _, self._scheme = _split(url)
        super().__init__(self._url(self._seeds[0]), timeout_s=timeout_s, clock=clock)
        self._nodes: dict[str, Kv] = {}
        self._owners: list[Kv | None] = [None] * _SLOTS
        self._watching: asyncio.Task[None] | None = None
        self._is_stale = asyncio.Event()

    async def __aenter__(self) -> Self:
        with suppress(StoreUnavailable):
            await self._look_around()
        self._watching = asyncio.create_task(self._watch_over(), name="cluster")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        for node in self._nodes.values():
            await node.__aexit__()

    @property
    def is_up(self) -> bool:
        return any(node.is_up for node in self._nodes.values())

    @property
    def times_up(self) -> int:
        return sum(node.times_up for node in self._nodes.values())

    async def wait_until_up(self, timeout_s: float) -> bool:
        """Whether every node that is known answers."""
        waits = [node.wait_until_up(timeout_s) for node in self._nodes.values()]
        return bool(waits) and all(await asyncio.gather(*waits))

    @property
    def servers(self) -> Sequence[Kv]:
        return tuple(self._nodes.values())

    # ------------------------------------------------------------------ whose key it is

    async def _send(self, *args: Arg) -> object:
        slot = slot_of(_key_of(args))
        node = self._owners[slot]
        if node is None:
            self._is_stale.set()
            return ConnectionError("no node has this slot")
        answer = await node._send(*args)
        if isinstance(answer, Refused) and str(answer).startswith(("MOVED ", "ASK ")):
            answer = await self._redirected(str(answer).split(), args)
        return answer

    async def _redirected(self, said: list[str], args: tuple[Arg, ...]) -> object:
        node = self._nodes.get(said[2])
        if said[0] == "MOVED":
            self._is_stale.set()
            if node is not None:
                self._owners[int(said[1])] = node
        if node is None:
            return ConnectionError("a node of the cluster is not known yet")
        if said[0] == "ASK":
            _, answer = await asyncio.gather(node._send("ASKING"), node._send(*args))
            return answer
        return await node._send(*args)

    # ------------------------------------------------------------------ who has which slot

    async def _watch_over(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._is_stale.wait()
            if self._is_stale.is_set() or not all(node.is_up for node in self._nodes.values()) or not self._nodes:
                self._is_stale.clear()
                with suppress(StoreUnavailable):
                    await self._look_around()
                await asyncio.sleep(0.1)

    async def _look_around(self) -> None:
        """Ask one node after the other until one tells. Raises StoreUnavailable if none does."""
        for place in dict.fromkeys([*self._nodes, *self._seeds]):
            try:
                found = await _ask_once(self._url(place), ("CLUSTER", "SLOTS"))
            except (OSError, TimeoutError, Refused, ValueError):
                continue
            if isinstance(found, list) and found:
                await self._know(found, asked=place)
                return
        raise StoreUnavailable("cluster")

    async def _know(self, ranges: Sequence[Sequence[object]], *, asked: str) -> None:
        owners: list[Kv | None] = [None] * _SLOTS
        places = set()
        for first, last, master, *_ in ranges:
            assert isinstance(first, int)
            assert isinstance(last, int)
            assert isinstance(master, list)
            host = master[0] or asked.rpartition(":")[0]  # a node that does not know its own address
            place = _host_and_port(host, master[1])
            places.add(place)
            if place not in self._nodes:
                node = Kv(self._url(place), timeout_s=self._timeout_s, clock=self._clock)
                node.errors = self.errors
                self._nodes[place] = await node.__aenter__()
            owners[first : last + 1] = [self._nodes[place]] * (last + 1 - first)
        self._owners = owners
        for place in self._nodes.keys() - places:
            await self._nodes.pop(place).__aexit__()

    def _url(self, place: str) -> str:
        return f"{self._scheme}://{self._credentials}{place}"


def slot_of(key: bytes) -> int:
    """As the cluster specification has it: CRC-16/XMODEM of the key, or of what stands in its first braces."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return binascii.crc_hqx(key, 0) % _SLOTS


def _key_of(args: tuple[Arg, ...]) -> bytes:
    key = args[3] if args[0] in ("EVALSHA", "EVAL") else args[1]
    return key if isinstance(key, bytes) else str(key).encode()


def _split(url: str) -> tuple[list[str], str, str, str]:
    """Places, credentials with their @, path, and the scheme for one server."""
    scheme, _, rest = url.partition("+")
    parts = urlsplit(f"{scheme}://{rest.partition('://')[2]}")
    credentials, at, hosts = parts.netloc.rpartition("@")
    places = [place if ":" in place.rpartition("]")[2] else f"{place}:6379" for place in hosts.split(",") if place]
    if not places:
        raise _malformed("redis+cluster://host:port[,host:port]…")
    return places, credentials + at, parts.path, scheme


def _malformed(expected: str) -> ConfigError:
    return ConfigError([f"store: expected {expected}, escaped as in any URL"])


def _host_and_port(host: object, port: object) -> str:
    name = host.decode() if isinstance(host, bytes) else str(host)
    number = port.decode() if isinstance(port, bytes) else str(port)
    return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"


async def _ask_once(url: str, command: tuple[Arg, ...]) -> object:
    """What a server answers over a connection of its own."""
    async with asyncio.timeout(_ASK_TIMEOUT_S):
        connection = await connect(Address.parse(url), _leave)
        try:
            return await _answer(connection, command)
        finally:
            connection.close()


async def _answer(connection: Connection, command: tuple[Arg, ...]) -> object:
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    connection.send([command], [reply])
    answer = await reply
    if isinstance(answer, Exception):
        raise answer
    return answer


def _leave(connection: Connection, error: Exception) -> None:
    for reply in connection.waiting:
        if not reply.done():
            reply.set_result(error)
