"""The Redis client against a genuine server that is killed, frozen, filled and started again."""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from gateway import kv as module
from gateway.clock import SystemClock
from gateway.errors import ConfigError, StoreUnavailable
from gateway.kv import Kv, Script
from tests.support.polling import until
from tests.support.proxy import copy
from tests.support.redis_server import RedisServer

TLS = Path(__file__).parent.parent / "support" / "tls"
PATIENCE_S = 10.0
"""For a server that is there to be found up, on a machine that is busy with other things."""


def client_of(url: str, timeout_s: float = 1.0) -> Kv:
    return Kv(url, timeout_s=timeout_s, clock=SystemClock())


@pytest.fixture
async def kv(redis_server: RedisServer) -> AsyncIterator[Kv]:
    async with client_of(redis_server.url) as client:
        assert await client.wait_until_up(PATIENCE_S)
        yield client


@pytest.fixture
async def hasty(redis_server: RedisServer) -> AsyncIterator[Kv]:
    """One that waits a tenth of a second for an answer."""
    async with client_of(redis_server.url, timeout_s=0.1) as client:
        assert await client.wait_until_up(PATIENCE_S)
        yield client


@pytest.fixture
def admin(redis_server: RedisServer) -> "redis.Redis":
    """A second client, for what only an operator does."""
    return redis.Redis.from_url(redis_server.url)


async def fails(command: Awaitable[object]) -> float:
    """Seconds until `command` failed, as it must."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await command
    return time.monotonic() - began


# ------------------------------------------------------------------ commands


async def test_values_are_set_got_and_deleted(kv: Kv) -> None:
    assert await kv.get("a") is None
    await kv.set("a", b"\x00\xff", 60)
    assert await kv.get("a") == b"\x00\xff"
    await kv.delete("a")
    assert await kv.get("a") is None
    assert kv.errors == {}


async def test_a_value_is_kept_for_its_time_to_the_millisecond(kv: Kv, admin: "redis.Redis") -> None:
    await kv.set("a", b"1", 90.5)
    left_ms = admin.pttl("a")
    assert isinstance(left_ms, int)
    assert 80_000 < left_ms <= 90_500


async def test_commands_of_one_turn_leave_as_one_pipeline(kv: Kv, admin: "redis.Redis") -> None:
    def reads() -> int:
        stats = admin.info("stats")
        assert isinstance(stats, dict)
        return int(stats["total_reads_processed"])

    await asyncio.gather(*(kv.set(str(n), b"%d" % n, 60) for n in range(100)))
    before = reads()
    assert await asyncio.gather(*(kv.get(str(n)) for n in range(100))) == [b"%d" % n for n in range(100)]
    assert reads() - before <= 3  # the pipeline, cut in two at worst, and the second look at the statistics


async def test_one_refused_command_fails_alone(kv: Kv, admin: "redis.Redis") -> None:
    admin.rpush("list", "x")
    await kv.set("a", b"1", 60)
    refused, got = await asyncio.gather(kv.get("list"), kv.get("a"), return_exceptions=True)
    assert isinstance(refused, StoreUnavailable)
    assert got == b"1"
    assert kv.is_up
    assert kv.errors == {"get": 1}


async def test_a_full_server_still_answers(kv: Kv, admin: "redis.Redis") -> None:
    await kv.set("a", b"1", 60)
    admin.config_set("maxmemory", 1)
    try:
        await fails(kv.set("b", b"2", 60))
        assert await kv.get("a") == b"1"
        assert kv.is_up
    finally:
        admin.config_set("maxmemory", 0)


# ------------------------------------------------------------------ scripts

ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])")


async def test_scripts_run_as_one_step_and_are_sent_where_the_server_lost_them(kv: Kv, admin: "redis.Redis") -> None:
    assert await asyncio.gather(*(kv.run(ADD, "a", 2) for _ in range(3))) == [2, 4, 6]
    admin.script_flush()
    assert await kv.run(ADD, "a", b"1") == 7
    assert kv.errors == {}


async def test_a_script_that_fails_has_certainly_ended(kv: Kv) -> None:
    with pytest.raises(StoreUnavailable) as failed:
        await kv.run(Script("wrong", "return redis.call('NO SUCH COMMAND')"), "a")
    assert not failed.value.may_have_run
    assert kv.is_up
    assert kv.errors == {"wrong": 1}


async def test_whether_a_command_that_failed_may_have_run_is_known(hasty: Kv, redis_server: RedisServer) -> None:
    redis_server.freeze()
    with pytest.raises(StoreUnavailable) as late:
        await hasty.run(ADD, "a", 1)
    with pytest.raises(StoreUnavailable) as never_sent:
        await hasty.run(ADD, "a", 1)
    assert (late.value.may_have_run, never_sent.value.may_have_run) == (True, False)


# ------------------------------------------------------------------ starting


async def test_a_server_that_is_there_is_up_from_the_start(redis_server: RedisServer) -> None:
    async with client_of(redis_server.url) as kv:
        assert kv.is_up


async def test_a_start_does_not_wait_for_a_frozen_server(redis_server: RedisServer) -> None:
    redis_server.freeze()
    began = time.monotonic()
    async with client_of(redis_server.url) as kv:
        assert 0.4 < time.monotonic() - began < 1.5
        assert not kv.is_up


async def test_a_start_that_is_cancelled_leaves_nothing_behind(redis_server: RedisServer) -> None:
    redis_server.freeze()
    start = asyncio.create_task(client_of(redis_server.url).__aenter__())
    for _ in range(5):
        await asyncio.sleep(0)
    start.cancel()
    with suppress(asyncio.CancelledError):
        await start
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


# ------------------------------------------------------------------ callers that leave


async def test_a_caller_that_leaves_harms_nobody(kv: Kv) -> None:
    """3,000 commands with random hang-ups at random moments: every answer is its own."""
    chance = random.Random(7)
    await asyncio.gather(*(kv.set(str(n), b"%d" % n, 60) for n in range(100)))

    async def ask() -> None:
        n = chance.randrange(100)
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        assert await kv.get(str(n)) == b"%d" % n

    async def ask_and_perhaps_leave() -> None:
        task = asyncio.create_task(ask())
        if chance.random() < 0.5:
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    for _ in range(10):
        await asyncio.gather(*(ask_and_perhaps_leave() for _ in range(300)))
    assert kv.errors == {}


# ------------------------------------------------------------------ a server that is away


async def test_nobody_waits_for_a_server_that_was_never_there(redis_server: RedisServer) -> None:
    redis_server.kill()
    async with client_of(redis_server.url) as kv:
        assert await fails(kv.get("a")) < 0.05
        assert not await kv.wait_until_up(0.05)
        redis_server.start()
        assert await kv.wait_until_up(PATIENCE_S)
        assert await kv.get("a") is None
        assert kv.errors == {"get": 1}


async def test_a_killed_server_fails_at_once_and_is_found_again(kv: Kv, redis_server: RedisServer) -> None:
    redis_server.kill()
    assert await fails(kv.get("a")) < 0.5
    assert not kv.is_up
    assert await fails(kv.set("a", b"1", 60)) < 0.05
    redis_server.start()
    assert await kv.wait_until_up(PATIENCE_S)
    await kv.set("a", b"1", 60)
    assert await kv.get("a") == b"1"


async def test_a_frozen_server_costs_one_deadline_and_then_nothing(hasty: Kv, redis_server: RedisServer) -> None:
    redis_server.freeze()
    waits = await asyncio.gather(*(fails(hasty.get(str(n))) for n in range(50)))
    assert 0.09 < max(waits) < 0.5
    assert await fails(hasty.get("a")) < 0.05
    redis_server.thaw()
    assert await hasty.wait_until_up(PATIENCE_S)


async def test_a_late_answer_reaches_nobody(hasty: Kv, redis_server: RedisServer) -> None:
    await hasty.set("a", b"for the first", 60)
    await hasty.set("b", b"for the second", 60)
    redis_server.freeze()
    await fails(hasty.get("a"))
    redis_server.thaw()
    assert await hasty.wait_until_up(PATIENCE_S)
    answers = await asyncio.gather(*(hasty.get("b") for _ in range(20)))
    assert answers == [b"for the second"] * 20


async def test_a_server_that_dies_while_nobody_asks_is_noticed_at_once(kv: Kv, redis_server: RedisServer) -> None:
    redis_server.kill()
    await until(lambda: not kv.is_up)
    assert kv.errors == {}


async def test_a_server_that_freezes_while_nobody_asks_is_noticed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HEARTBEAT_S", 0.02)
    async with client_of(redis_server.url, timeout_s=0.1) as kv:
        assert await kv.wait_until_up(PATIENCE_S)
        redis_server.freeze()
        await until(lambda: not kv.is_up)
    assert kv.errors == {"ping": 1}


async def test_many_commands_in_one_turn_are_answered_each_with_its_own(kv: Kv) -> None:
    """Answers come in pieces that end anywhere."""
    values = [b"%d" % n * (n % 700) for n in range(3000)]
    await asyncio.gather(*(kv.set(str(n), value, 60) for n, value in enumerate(values)))
    assert await asyncio.gather(*(kv.get(str(n)) for n in range(len(values)))) == values


async def test_a_password_a_user_and_a_database_of_the_url_are_used(
    redis_server: RedisServer, admin: "redis.Redis"
) -> None:
    admin.acl_setuser("ann", enabled=True, passwords="+a/b", keys="*", categories=["+@all"])
    try:
        async with client_of(f"redis://ann:a%2Fb@127.0.0.1:{redis_server.port}/3") as kv:
            assert await kv.wait_until_up(PATIENCE_S)
            await kv.set("a", b"1", 60)
        assert redis.Redis(port=redis_server.port, db=3).get("a") == b"1"
    finally:
        admin.acl_deluser("ann")


async def test_a_loop_that_was_busy_past_the_deadline_still_takes_the_answer(
    hasty: Kv, redis_server: RedisServer
) -> None:
    await hasty.set("a", b"1", 60)
    redis_server.freeze()
    asked = asyncio.create_task(hasty.get("a"))
    for _ in range(10):
        await asyncio.sleep(0)  # until it has been sent
    redis_server.thaw()
    time.sleep(0.15)  # noqa: ASYNC251 - this is the loop being busy
    assert await asked == b"1"


async def test_leaving_waits_for_commands_under_way(redis_server: RedisServer, admin: "redis.Redis") -> None:
    async with client_of(redis_server.url) as kv:
        assert await kv.wait_until_up(PATIENCE_S)
        writes = [asyncio.create_task(kv.set(str(n), b"1", 60)) for n in range(10)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    assert admin.dbsize() == 10


# ------------------------------------------------------------------ TLS


@pytest.fixture
async def tls_port(redis_server: RedisServer) -> AsyncIterator[int]:
    """The same server behind TLS, as localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "localhost.pem")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection("127.0.0.1", redis_server.port)
        with suppress(ConnectionError):
            await asyncio.gather(copy(reader, outside), copy(inside, writer))
        outside.close()
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def test_over_tls_the_server_proves_who_it_is(tls_port: int) -> None:
    async with client_of(f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={TLS / 'authority.pem'}") as kv:
        assert await kv.wait_until_up(PATIENCE_S)
        await kv.set("a", b"1", 60)
        assert await kv.get("a") == b"1"


async def test_a_server_that_cannot_prove_it_is_no_store(tls_port: int, caplog: pytest.LogCaptureFixture) -> None:
    async with client_of(f"rediss://127.0.0.1:{tls_port}") as kv:
        await until(lambda: "cannot be reached" in caplog.text)
        assert not kv.is_up
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


# ------------------------------------------------------------------ secrets


async def test_a_wrong_password_is_logged_without_the_password(
    redis_server: RedisServer, admin: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    admin.config_set("requirepass", "right-secret")
    try:
        with caplog.at_level(logging.DEBUG):
            async with client_of(redis_server.url.replace("://", "://:wrong-secret@")) as kv:
                await until(lambda: "store" in caplog.text)
                await fails(kv.get("a"))
    finally:
        redis.Redis.from_url(redis_server.url, password="right-secret").config_set("requirepass", "")
    assert f"store 127.0.0.1:{redis_server.port} cannot be reached" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        *("redis://user:se/cret@host:6379", "http://:secret@host", "secret", "redis://:secret@", "redis://h:secret"),
        *(
            "redis://h/secret",
            "redis://h?secret=1",
            "rediss://h?ssl_cert_reqs=secret",
            "rediss://h?ssl_ca_certs=secret",
        ),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="store: expected redis://") as refused:
        client_of(url)
    assert "cret" not in str(refused.value)
    assert refused.value.__suppress_context__
