"""A Redis Cluster of three masters, and a master with a replica that sentinels watch: genuine servers on loopback."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.support.redis_server import RedisServer, free_port

_FORMED_S = 30.0


@contextmanager
def cluster(binary: str, *, masters: int = 3) -> Iterator[list[RedisServer]]:
    """Its masters, each with its share of the slots, once every one of them knows all."""
    buses = [free_port() for _ in range(masters)]  # the default is the port and 10,000, which may not be one
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port")
    nodes = [RedisServer(binary, *options, str(bus)) for bus in buses]
    try:
        for node in nodes:
            node.start()
        clients = [redis.Redis.from_url(node.url) for node in nodes]
        for number, client in enumerate(clients):
            first, last = 16_384 * number // masters, 16_384 * (number + 1) // masters - 1
            _cluster(client, "ADDSLOTSRANGE", first, last)
            for node, bus in zip(nodes[:number], buses, strict=False):
                _cluster(client, "MEET", "127.0.0.1", node.port, bus)
        give_up_at = time.monotonic() + _FORMED_S
        while not all(_is_whole(client, masters) for client in clients):
            assert time.monotonic() < give_up_at, "the cluster did not form"
            time.sleep(0.02)
        for client in clients:
            client.close()
        yield nodes
    finally:
        for node in nodes:
            with suppress(AssertionError, subprocess.SubprocessError):
                node.close()


@contextmanager
def watched(binary: str) -> Iterator[tuple[list[RedisServer], RedisServer]]:
    """A master and its replica, and a sentinel that knows them as `mymaster` and fails over after half a second."""
    servers = [RedisServer(binary), RedisServer(binary)]
    sentinel: RedisServer | None = None
    try:
        for server in servers:
            server.start()
        with redis.Redis.from_url(servers[1].url) as replica:
            replica.replicaof("127.0.0.1", servers[0].port)
            _until(lambda: replica.info("replication")["master_link_status"] == "up")
        with tempfile.TemporaryDirectory(prefix="sentinel-") as folder:
            told = Path(folder, "sentinel.conf")
            told.write_text(
                f"sentinel monitor mymaster 127.0.0.1 {servers[0].port} 1\n"
                "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n"
            )
            sentinel = RedisServer(binary, "--sentinel", first=str(told))
            sentinel.start()
            with redis.Redis(port=sentinel.port) as asked:
                _until(lambda: asked.sentinel_master("mymaster")["num-slaves"] == 1)
            yield servers, sentinel
    finally:
        for server in [*servers, *([sentinel] if sentinel else [])]:
            server.close()


def _until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _FORMED_S
    while not holds():
        assert time.monotonic() < give_up_at, "it did not come about"
        time.sleep(0.02)


def _is_whole(client: "redis.Redis", masters: int) -> bool:
    info = _cluster(client, "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:%d" % masters in info


def _cluster(client: "redis.Redis", *args: str | int) -> bytes:
    answer: bytes = client.execute_command("CLUSTER", *args)  # type: ignore[no-untyped-call]
    return answer
