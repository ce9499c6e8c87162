"""A Redis Cluster of three masters, and a master with a replica that sentinels watch: genuine servers on loopback."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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


def _is_whole(client: "redis.Redis", masters: int) -> bool:
    info = _cluster(client, "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:%d" % masters in info


def _cluster(client: "redis.Redis", *args: str | int) -> bytes:
    answer: bytes = client.execute_command("CLUSTER", *args)  # type: ignore[no-untyped-call]
    return answer
