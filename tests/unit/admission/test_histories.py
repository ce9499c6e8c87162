"""The store in memory, in random histories beside the model. `ADMISSION_HISTORIES=5000` plays that many."""

import os
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.admission.memory import MemoryAdmissionStore
from gateway.admission.stores import AdmissionStore
from gateway.clock import ManualClock
from tests.support.admission_machine import AdmissionMachine

HISTORIES = int(os.environ.get("ADMISSION_HISTORIES", "40"))


class MemoryMachine(AdmissionMachine):
    def new_store(self) -> AdmissionStore:
        self.clock = ManualClock(wall=0)
        return MemoryAdmissionStore(self.clock)

    def set_time(self, now_ms: int) -> None:
        self.clock.advance(now_ms / 1000 - self.clock.wall())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)
        return done.value.value


def test_histories_agree_with_the_model() -> None:
    run_state_machine_as_test(
        MemoryMachine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
