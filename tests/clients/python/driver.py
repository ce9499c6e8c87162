"""Drives one client library: a task comes in as a line of JSON, what the library made of it goes out as another.

    ENV/bin/python driver.py openai_sdk

`openai_sdk` is a module beside this file; a task's `call` names a function in it, which takes the task
and returns a result, or yields the parts of one. Results and exceptions are told in full and judged on the
other side: nothing here knows what a test wants to hear. node/driver.mjs is the same in JavaScript.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TextIO

ERROR_FACTS = ("status_code", "code", "param", "type", "body")
"""What OpenAI's exceptions, and those modelled on them, know of the answer they stand for."""

Call = Callable[[SimpleNamespace], Any]


def main(module_name: str) -> None:
    told = _own_stdout()
    library = importlib.import_module(module_name)
    _tell(told, {"ready": library.VERSIONS})
    for line in sys.stdin:
        task = SimpleNamespace(**json.loads(line))
        _tell(told, _played(getattr(library, task.call), task))


def _own_stdout() -> TextIO:
    """The stream that is read on the other side; whatever a library prints goes to stderr instead."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return told


def _tell(told: TextIO, value: object) -> None:
    print(json.dumps(value, default=_plain), file=told, flush=True)


def _played(call: Call, task: SimpleNamespace) -> dict[str, Any]:
    """`parts`: all that came before the end, or before the exception that is then `raised`."""
    parts: list[Any] = []
    try:
        if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
            asyncio.run(_collect_async(call, task, parts))
        else:
            _collect(call, task, parts)
    except Exception as error:
        return {"parts": parts, "raised": _described(error)}
    return {"parts": parts}


def _collect(call: Call, task: SimpleNamespace, parts: list[Any]) -> None:
    if not inspect.isgeneratorfunction(call):
        parts.append(_plain(call(task)))
        return
    for part in call(task):
        parts.append(_plain(part))  # noqa: PERF401  # one by one: those before an exception are kept


async def _collect_async(call: Call, task: SimpleNamespace, parts: list[Any]) -> None:
    if inspect.iscoroutinefunction(call):
        parts.append(_plain(await call(task)))
        return
    async for part in call(task):
        parts.append(_plain(part))  # noqa: PERF401


def _plain(value: Any) -> Any:
    """`value` as JSON can say it; of a pydantic model only the fields that were set, so that absent is not null."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_unset=True, warnings=False)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if value is None or isinstance(value, str | int | float | list | tuple | dict):
        return value
    return str(value)


def _described(error: Exception) -> dict[str, Any]:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    facts = {name: getattr(error, name) for name in ERROR_FACTS if hasattr(error, name)}
    return {"kind": kind, "message": str(error), **facts}


if __name__ == "__main__":
    main(sys.argv[1])
