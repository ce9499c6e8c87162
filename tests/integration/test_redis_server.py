"""The tests' own redis-server does what the tests of the store rely on."""

import socket
from collections.abc import Callable

import pytest
import redis

from tests.support.redis_server import RedisServer


def client(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=0.2, decode_responses=True)


def test_it_runs_scripts(redis_server: RedisServer) -> None:
    with client(redis_server) as redis_client:
        assert redis_client.eval("return redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)", 1, "k", "v") == "OK"
        assert redis_client.get("k") == "v"


@pytest.mark.parametrize("_", ["first", "second"])
def test_every_test_finds_it_empty(redis_server: RedisServer, _: str) -> None:
    with client(redis_server) as redis_client:
        assert redis_client.dbsize() == 0
        redis_client.set("left", "behind")


def test_frozen_it_accepts_and_stays_silent_until_thawed(redis_server: RedisServer) -> None:
    redis_server.freeze()
    with client(redis_server) as redis_client, pytest.raises(redis.TimeoutError):
        redis_client.ping()
    redis_server.thaw()
    with client(redis_server) as redis_client:
        assert redis_client.ping()


@pytest.mark.parametrize("end", [RedisServer.stop, RedisServer.kill])
def test_it_comes_back_on_the_same_port(redis_server: RedisServer, end: Callable[[RedisServer], None]) -> None:
    url = redis_server.url
    end(redis_server)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", redis_server.port))
    redis_server.start()
    assert redis_server.url == url
    with client(redis_server) as redis_client:
        assert redis_client.ping()


def test_stopping_a_frozen_one_does_not_hang(redis_server: RedisServer) -> None:
    redis_server.freeze()
    redis_server.stop()
