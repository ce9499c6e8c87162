import contextlib
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.record import Attempt, Record
from gateway.telemetry import logs as module
from gateway.telemetry.logs import AccessLog, JsonFormatter, access_line, configure
from gateway.values import Caller, Cost, Decision, Estimate, Target, Usage

TARGET = Target("openai", "gpt-4o-mini")


def record(**changes: Any) -> Record:
    return Record("req-1", "chat", 1_800_000_000.25, 1000.0, **changes)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Read end, write end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def test_a_line_says_who_asked_what_answered_and_what_it_cost() -> None:
    line = access_line(
        record(
            caller=Caller("support-bot", "support"),
            route="support",
            estimate=Estimate(1000, "exact"),
            decision=Decision((TARGET,), "cheap", "classifier", probability=0.3),
            target=TARGET,
            cache="miss",
            attempts=[Attempt(TARGET, "status_5xx"), Attempt(TARGET, "ok")],
            is_stream=True,
            status=200,
            is_success=True,
            usage=Usage(input=1000, output=300, cached_input=400, reasoning=100),
            cost=Cost(300_000, "computed"),
            saved_nanousd={"tier": 4_700_000},
            first_byte_s=0.2,
            upstream_s=0.5,
            duration_s=0.501,
        )
    )
    assert line.endswith(b"}\n")
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250000Z",
        "level": "info",
        "logger": "gateway.access",
        "request_id": "req-1",
        "key": "support-bot",
        "team": "support",
        "endpoint": "chat",
        "route": "support",
        "prompt": None,
        "prompt_version": None,
        "prompt_label": None,
        "prompt_warnings": [],
        "tier": "cheap",
        "reason": "classifier",
        "probability": 0.3,
        "target": "openai/gpt-4o-mini",
        "compare_with": None,
        "attempts": ["status_5xx", "ok"],
        "cache": "miss",
        "cache_detail": None,
        "cache_key": None,
        "stream": True,
        "status": 200,
        "success": True,
        "rejected": None,
        "error": None,
        "finish_reason": None,
        "counted_tokens": 1000,
        "unusually_long": False,
        "cut": False,
        "resumed": None,
        "step": "normal",
        "dropped_messages": 0,
        "dropped_tokens": 0,
        "trimmed_tokens": 0,
        "input_tokens": 1000,
        "cached_input_tokens": 400,
        "cache_write_tokens": 0,
        "audio_input_tokens": 0,
        "output_tokens": 300,
        "reasoning_tokens": 100,
        "audio_output_tokens": 0,
        "service_tier": None,
        "cost_nanousd": 300_000,
        "cost_source": "computed",
        "price_unknown": False,
        "saved_nanousd": {"tier": 4_700_000},
        "duration_ms": 501,
        "upstream_ms": 500,
        "ttft_ms": 200,
    }


def test_a_request_that_got_nowhere_has_the_same_fields() -> None:
    nowhere = json.loads(access_line(record(status=401, error="InvalidKey", rejected="invalid_key")))
    assert (nowhere["status"], nowhere["error"], nowhere["rejected"]) == (401, "InvalidKey", "invalid_key")
    assert nowhere.keys() == json.loads(access_line(record(caller=Caller("k"), usage=Usage(1, 1)))).keys()
    assert nowhere["key"] is nowhere["route"] is nowhere["cost_nanousd"] is nowhere["ttft_ms"] is None


@pytest.mark.parametrize("odd", [{"route": "\ud800"}, {"usage": Usage(10**30, 0)}, {"route": 'a"\n{"b'}])
def test_odd_values_still_make_one_valid_line(odd: dict[str, Any]) -> None:
    line = access_line(record(**odd))
    assert line.count(b"\n") == 1
    assert json.loads(line)["request_id"] == "req-1"


def test_a_name_that_a_client_made_up_stays_short_and_readable() -> None:
    line = json.loads(access_line(record(target=Target("up", "x\ud800\n" + "y" * 8_000_000))))
    assert line["target"] == "up/x??" + "y" * 250
    assert line["time"].endswith("Z")


async def test_lines_are_written_in_order(pipe: tuple[int, int]) -> None:
    out, fd = pipe
    async with AccessLog(fd) as log:
        for status in range(200, 250):
            log.write(record(status=status))
    assert [json.loads(line)["status"] for line in os.read(out, 1_000_000).splitlines()] == list(range(200, 250))
    assert log.dropped == 0


async def test_what_does_not_fit_is_dropped_and_counted(pipe: tuple[int, int]) -> None:
    out, fd = pipe
    log = AccessLog(fd, queue_lines=3)
    for status in range(200, 210):
        log.write(record(status=status))
    async with log:
        pass
    assert [json.loads(line)["status"] for line in os.read(out, 1_000_000).splitlines()] == [200, 201, 202]
    assert log.dropped == 7


async def test_a_reader_that_is_gone_costs_lines_not_requests(pipe: tuple[int, int]) -> None:
    out, fd = pipe
    os.close(out)
    async with AccessLog(fd) as log:
        log.write(record())
        log.write(record())
    assert log.dropped == 2


async def test_a_terminal_set_to_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    out, fd = pipe
    os.set_blocking(fd, False)
    async with AccessLog(fd) as log:
        for _ in range(500):  # more than the pipe holds
            log.write(record())
        written = 0
        while written < 500:
            written += os.read(out, 4096).count(b"\n")
    assert log.dropped == 0


async def test_fields_to_redact_have_no_value(pipe: tuple[int, int]) -> None:
    async with AccessLog(pipe[1], redact=("request_id", "team")) as log:
        log.write(record())
    line = json.loads(os.read(pipe[0], 1_000_000))
    assert (line["request_id"], line["team"]) == ("redacted", "redacted")
    assert line["endpoint"] == "chat"


async def test_a_log_that_is_off_drops_nothing(pipe: tuple[int, int]) -> None:
    async with AccessLog(pipe[1], is_on=False) as log:
        log.write(record())
    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)
    assert log.dropped == 0


async def test_after_closing_lines_are_counted_as_dropped(pipe: tuple[int, int]) -> None:
    async with AccessLog(pipe[1]) as log:
        pass
    log.write(record())
    assert log.dropped == 1


def test_other_logging_is_json_with_its_traceback() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("gateway.test")
    logger.addHandler(handler)
    try:
        raise ValueError("no\nway")
    except ValueError:
        logger.exception("could not %s", "reload")
    (line,) = stream.getvalue().splitlines()
    fields = json.loads(line)
    assert (fields["level"], fields["logger"], fields["message"]) == ("error", "gateway.test", "could not reload")
    assert fields["traceback"].endswith("ValueError: no\nway")


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level


def test_configured_logging_goes_to_stderr_from_its_level_on(
    root_logger: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    configure("warning")
    logging.getLogger("gateway.test").info("quiet")
    logging.getLogger("gateway.test").warning("loud")
    root_logger.handlers[0].close()
    out, err = capfd.readouterr()
    assert out == ""
    assert [json.loads(line)["message"] for line in err.splitlines()] == ["loud"]


def test_whoever_stops_reading_stderr_stops_nobody(
    root_logger: logging.Logger, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STDERR", pipe[1])
    monkeypatch.setattr(module, "CLOSE_S", 0.01)
    configure("warning")
    for _ in range(5_000):  # a pipe holds some 500 of them
        root_logger.warning("loud")
    root_logger.handlers[0].close()


@pytest.mark.parametrize(("is_file", "most"), [(True, 64), (False, 4)])
async def test_lines_leave_in_pieces_that_nobody_elses_come_between(
    is_file: bool, most: int, pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def written(fd: int, data: bytes) -> int:
        sizes.append(len(data))
        return len(data)

    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT) if is_file else pipe[1]
    monkeypatch.setattr(os, "write", written)
    async with AccessLog(fd) as log:
        for _ in range(200):
            log.write(record(status=200))
    if is_file:
        os.close(fd)
    length = len(access_line(record(status=200)))
    assert sum(sizes) == 200 * length
    assert max(sizes) == most * 1024 // length * length
