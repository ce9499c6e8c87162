"""The scripts in a genuine Redis, in random histories beside the model.

`ADMISSION_HISTORIES=5000` plays that many; the default is what a test run can spare.
"""

import asyncio
import itertools
import os
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.admission.stores import AdmissionStore, RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from tests.support.admission_machine import AdmissionMachine
from tests.support.redis_server import RedisServer

HISTORIES = int(os.environ.get("ADMISSION_HISTORIES", "60"))
CLOCK = "local function now_ms() return tonumber(redis.call('GET', KEYS[1] .. ':clock')) end"


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
