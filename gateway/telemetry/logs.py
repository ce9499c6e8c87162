"""One JSON line for every request, one JSON formatter for everything else, all on stderr.

The access line is made from the finished `Record` and nothing else, so it holds what a record
holds: names, numbers and words of closed sets. Prompts, answers and keys are not in it.

Lines are written by a thread of their own, because a write to a pipe whose reader has stopped
blocks. Between it and the requests stands a bounded queue; what does not fit is dropped and counted,
and no request waits. Lines are formatted by whoever calls `write`, on the event loop: it is the same
work in either thread, and a second thread holding the interpreter for a batch of it would delay
every request of that moment instead of one that is already answered.
"""

import asyncio
import json
import logging
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

from gateway.record import Record

LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
BATCH_S = 0.05
"""How long lines gather before they are written; the most a line is late."""
PIPE_BYTES = 4096
"""Linux writes so much to a pipe in one piece (PIPE_BUF in pipe(7)): workers that share stderr never mix lines."""
FILE_BYTES = 1 << 16
"""To a file it writes anything in one piece (see write(2): the offset is locked meanwhile), and the fewer writes the
better: after each, this thread and the event loop's contend for the interpreter."""
STDERR = 2
CLOSE_S = 2.0
"""How long `close` waits for a reader that has stopped reading."""


REDACTED = "redacted"


def access_line(record: Record, redact: Collection[str] = ()) -> bytes:
    """One JSON object and a newline; every line has every field, null where it does not apply.

    It says what the request's row in the ledger says. Times are in milliseconds, money in nano-dollars: a log is for
    adding up, and floats of dollars do not. Fields to `redact` have no value but that word.
    """
    caller, decision, estimate = record.caller, record.decision, record.estimate
    target, usage, cost = record.target, record.usage, record.cost
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.started_at, UTC),
        "level": "info",
        "logger": "gateway.access",
        "request_id": record.request_id,
        "key": caller.name if caller else None,
        "team": caller.team if caller else None,
        "endpoint": record.endpoint,
        "route": record.route,
        "prompt": record.prompt,
        "prompt_version": record.prompt_version or None,
        "prompt_label": record.prompt_label,
        "prompt_warnings": record.prompt_warnings,
        "tier": decision.tier if decision else None,
        "reason": decision.reason if decision else None,
        "probability": decision.probability if decision else None,
        "target": target.printable if target else None,
        "compare_with": decision.compare_with.printable if decision and decision.compare_with else None,
        "attempts": [attempt.outcome for attempt in record.attempts],
        "cache": record.cache,
        "cache_detail": record.cache_detail,
        "cache_key": record.cache_key,
        "stream": record.is_stream,
        "status": record.status,
        "success": record.is_success,
        "rejected": record.rejected,
        "error": record.error,
        "finish_reason": record.finish_reason,
        "counted_tokens": estimate.prompt_tokens if estimate else None,
        "unusually_long": record.is_unusually_long,
        "cut": record.is_cut,
        "resumed": record.resumed,
        "step": record.step,
        "dropped_messages": record.dropped_messages,
        "dropped_tokens": record.dropped_tokens,
        "trimmed_tokens": record.trimmed_tokens,
        "input_tokens": usage.input if usage else None,
        "cached_input_tokens": usage.cached_input if usage else None,
        "cache_write_tokens": usage.cache_write if usage else None,
        "audio_input_tokens": usage.audio_input if usage else None,
        "output_tokens": usage.output if usage else None,
        "reasoning_tokens": usage.reasoning if usage else None,
        "audio_output_tokens": usage.audio_output if usage else None,
        "service_tier": usage.service_tier if usage else None,
        "cost_nanousd": cost.nanousd if cost else None,
        "cost_source": cost.source if cost else None,
        "price_unknown": record.price_unknown,
        "saved_nanousd": record.saved_nanousd,
        "duration_ms": _ms(record.duration_s),
        "upstream_ms": _ms(record.upstream_s),
        "ttft_ms": None if record.first_byte_s is None else _ms(record.first_byte_s),
    }
    for name in redact:
        fields[name] = REDACTED
    return _line(fields)


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own; `put` never waits and never raises."""

    def __init__(self, fd: int, *, name: str, queue_lines: int = 10_000) -> None:
        self._refused = 0
        self._failed = 0
        self._fd = fd
        self._most_bytes = FILE_BYTES if stat.S_ISREG(os.fstat(fd).st_mode) else PIPE_BYTES
        self._queue: deque[bytes] = deque()
        self._queue_lines = queue_lines
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def dropped(self) -> int:
        """Lines that were not written: the queue was full, the descriptor failed, or the writer is closed."""
        return self._refused + self._failed

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Write what is queued and stop. A reader that takes nothing for `CLOSE_S` is not waited for any longer."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        self._queue_lines = 0  # from here on nothing is queued, all is counted
        self._refused += len(self._queue)
        self._queue.clear()

    def has_room(self) -> bool:
        """False counts a line that is then not worth making."""
        if len(self._queue) >= self._queue_lines:
            self._refused += 1
            return False
        return True

    def put(self, line: bytes) -> None:
        """Queue `line`; only where it `has_room`."""
        self._queue.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._closing.wait(BATCH_S)
            self._wake.clear()
            while batch := _take(self._queue, self._most_bytes):
                self._write(batch)
            if self._closing.is_set():
                return

    def _write(self, batch: list[bytes]) -> None:
        data = b"".join(batch)
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:  # another process may have set the terminal we share to non-blocking
                select.select([], [self._fd], [])
            except OSError:
                self._failed += len(batch)
                return


class AccessLog:
    """Writes access lines to a file descriptor, stderr unless told otherwise."""

    def __init__(
        self, fd: int = STDERR, *, is_on: bool = True, redact: Collection[str] = (), queue_lines: int = 10_000
    ) -> None:
        self._is_on = is_on
        self._redact = tuple(redact)
        self._lines = LineWriter(fd, name="access-log", queue_lines=queue_lines)

    @property
    def dropped(self) -> int:
        return self._lines.dropped

    def start(self) -> None:
        self._lines.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._lines.close)

    async def __aenter__(self) -> "AccessLog":
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def write(self, record: Record) -> None:
        """Queue the line of a finished request; never waits, never raises."""
        if self._is_on and self._lines.has_room():
            self._lines.put(access_line(record, self._redact))


def _take(queue: deque[bytes], room: int) -> list[bytes]:
    """The oldest lines, at least one if there is any, and no more than `room` bytes of them."""
    batch: list[bytes] = []
    while queue and (not batch or len(queue[0]) <= room):
        batch.append(queue.popleft())
        room -= len(batch[-1])
    return batch


# ------------------------------------------------------------------ the library's own logging


class JsonFormatter(logging.Formatter):
    """time, level, logger and message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _line(fields).decode().rstrip("\n")


class _Aside(logging.Handler):
    """Has lines written by another thread: whoever stops reading stderr must not stop the event loop."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._lines = LineWriter(fd, name="log")
        self._lines.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.has_room():
            self._lines.put(self.format(record).encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:  # at the latest when the interpreter ends: `logging` sees to that
        self._lines.close()
        super().close()


def configure(level: str) -> None:
    """Send everything logged from `level` on (`debug`, `info`, `warning`, `error`) to stderr as JSON lines.

    `set_level` changes that, once the configuration has been read.
    """
    handler = _Aside(STDERR)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def set_level(level: str) -> None:
    logging.getLogger().setLevel(level.upper())


# ------------------------------------------------------------------ both


def _line(fields: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(fields, option=LINE)
    except orjson.JSONEncodeError:  # half a surrogate pair in a name, an upstream's absurd number: still worth a line
        return json.dumps(fields, default=str).encode() + b"\n"


def _ms(seconds: float) -> float:
    """To the microsecond; `round` would take four times as long."""
    return int(seconds * 1_000_000 + 0.5) / 1000
