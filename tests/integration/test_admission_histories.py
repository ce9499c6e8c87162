"""The scripts in a genuine Redis, in random histories beside the model.

`ADMISSION_HISTORIES=5000` plays that many; the default is what a test run can spare.
"""

import asyncio
import itertools
import os
from collections.abc import Coroutine
from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.admission.limits import Per, counter_name
from gateway.admission.stores import AdmissionStore, RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from tests.support.admission_machine import AdmissionMachine
from tests.support.redis_server import RedisServer

HISTORIES = int(os.environ.get("ADMISSION_HISTORIES", "60"))
CLOCK = "local function now_ms() return tonumber(redis.call('GET', KEYS[1] .. ':clock')) end"


def test_periods_have_the_names_that_python_gives_them(redis_server: RedisServer) -> None:
    """Two clocks of the calendar: civil dates in Lua, `datetime` here. Every 17 days and some, for 130 years."""
    pers: tuple[Per, ...] = ("hour", "day", "month", "total")
    with asyncio.Runner() as runner, redis.Redis.from_url(redis_server.url, decode_responses=True) as admin:
        kv = Kv(redis_server.url, timeout_s=5, clock=SystemClock())
        runner.run(kv.__aenter__())
        store = RedisAdmissionStore(kv, prefix="gw:{admission}", clock=CLOCK)
        for now_ms in range(1_700_000_000_000, 5_800_000_000_000, 1_500_000_001):
            admin.flushall()
            admin.set("gw:{admission}:clock", now_ms)
            runner.run(store.restore({f"key:a:usd:{per}": (1, now_ms) for per in pers}))
            assert set(admin.keys("gw:{admission}:budget:*")) == {
                f"gw:{{admission}}:budget:{counter_name(f'key:a:usd:{per}', per, now_ms)}" for per in pers
            }
        runner.run(kv.__aexit__())


def test_histories_agree_with_the_model(redis_server: RedisServer) -> None:
    with asyncio.Runner() as runner:
        kv = Kv(redis_server.url, timeout_s=5, clock=SystemClock())
        runner.run(kv.__aenter__())
        numbers = itertools.count()

        class RedisMachine(AdmissionMachine):
            def new_store(self) -> AdmissionStore:
                self.prefix = f"gw:{{admission}}:{next(numbers)}"
                return RedisAdmissionStore(kv, prefix=self.prefix, clock=CLOCK)

            def set_time(self, now_ms: int) -> None:
                runner.run(kv.set(f"{self.prefix}:clock", b"%d" % now_ms, 3600))

            def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
                return runner.run(coroutine)

        assert runner.run(kv.wait_until_up(10))
        run_state_machine_as_test(
            RedisMachine,
            settings=settings(
                max_examples=HISTORIES,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
        runner.run(kv.__aexit__())
