"""The `openai` package, of any major version from 1 on. The arguments of a task are those of the call."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from types import SimpleNamespace as Task
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

VERSIONS = {"openai": version("openai")}


class City(BaseModel):
    """The same as the schema that the other libraries are given."""

    name: str
    inhabitants: int
    districts: list[str]


def _settings(task: Task) -> dict[str, Any]:
    return {
        "base_url": task.base_url,
        "api_key": task.key,
        "default_headers": task.headers,
        "max_retries": task.max_retries,
        "timeout": task.timeout_s,
    }


def _client(task: Task) -> Any:
    return OpenAI(**_settings(task))


# ------------------------------------------------------------------ chat


def chat(task: Task) -> Any:
    return _client(task).chat.completions.create(**task.arguments)


def chat_stream(task: Task) -> Iterator[Any]:
    yield from _client(task).chat.completions.create(**task.arguments, stream=True)


def chat_events(task: Task) -> Iterator[Any]:
    """The helper that makes events and a whole answer of the chunks."""
    with _client(task).chat.completions.stream(**task.arguments) as stream:
        yield from stream
        yield stream.get_final_completion()


def structured(task: Task) -> Any:
    return _client(task).chat.completions.parse(**_without_format(task), response_format=City).choices[0].message


def structured_stream(task: Task) -> Iterator[Any]:
    with _client(task).chat.completions.stream(**_without_format(task), response_format=City) as stream:
        yield from stream
        yield stream.get_final_completion().choices[0].message.parsed


def _without_format(task: Task) -> dict[str, Any]:
    return {name: value for name, value in task.arguments.items() if name != "response_format"}


def raw(task: Task) -> dict[str, Any]:
    """An answer before it is parsed."""
    answer = _client(task).chat.completions.with_raw_response.create(**task.arguments)
    return {"status": answer.status_code, "headers": list(answer.headers.multi_items()), "text": answer.text}


async def chat_async(task: Task) -> Any:
    async with AsyncOpenAI(**_settings(task)) as client:
        return await client.chat.completions.create(**task.arguments)


async def chat_stream_async(task: Task) -> AsyncIterator[Any]:
    async with AsyncOpenAI(**_settings(task)) as client:
        async for chunk in await client.chat.completions.create(**task.arguments, stream=True):
            yield chunk


# ------------------------------------------------------------------ other endpoints


def embeddings(task: Task) -> Any:
    return _client(task).embeddings.create(**task.arguments)


def completions(task: Task) -> Any:
    return _client(task).completions.create(**task.arguments)


def completions_stream(task: Task) -> Iterator[Any]:
    yield from _client(task).completions.create(**task.arguments, stream=True)


def responses(task: Task) -> Any:
    return _client(task).responses.create(**task.arguments)


def responses_stream(task: Task) -> Iterator[Any]:
    yield from _client(task).responses.create(**task.arguments, stream=True)


def responses_structured(task: Task) -> Any:
    return _client(task).responses.parse(**task.arguments, text_format=City).output_parsed


# ------------------------------------------------------------------ what is passed through


def upload(task: Task) -> Any:
    return _client(task).files.create(file=("rows.jsonl", bytes(task.arguments["content"])), purpose="batch")


def files(task: Task) -> Iterator[Any]:
    yield from _client(task).files.list(**task.arguments)


def download(task: Task) -> list[int]:
    return list(_client(task).files.content(**task.arguments).content)


def delete(task: Task) -> Any:
    return _client(task).files.delete(**task.arguments)


def transcribe(task: Task) -> Any:
    file = ("speech.wav", bytes(task.arguments["content"]))
    return _client(task).audio.transcriptions.create(file=file, model=task.arguments["model"])


def speak(task: Task) -> list[int]:
    with _client(task).audio.speech.with_streaming_response.create(**task.arguments) as answer:
        return [byte for block in answer.iter_bytes() for byte in block]


def moderate(task: Task) -> Any:
    return _client(task).moderations.create(**task.arguments)


def draw(task: Task) -> Any:
    return _client(task).images.generate(**task.arguments)


# ------------------------------------------------------------------ leaving early


def leave_stream(task: Task) -> dict[str, Any]:
    with _client(task).chat.completions.create(**task.arguments, stream=True) as stream:
        read = _read(stream, task.after)
        left_at = time.time()
    return {"read": read, "left_at": left_at}


def _read(stream: Iterator[Any], most: int) -> int:
    return sum(1 for _ in zip(range(most), stream, strict=False))


def leave_responses_stream(task: Task) -> dict[str, Any]:
    with _client(task).responses.create(model=task.arguments["model"], input="Hi", stream=True) as stream:
        read = _read(stream, task.after)
        left_at = time.time()
    return {"read": read, "left_at": left_at}


async def leave_stream_async(task: Task) -> dict[str, Any]:
    """By cancelling the task that waits for the next chunk."""
    read: list[Any] = []
    has_read = asyncio.Event()

    async def reading() -> None:
        async for chunk in await client.chat.completions.create(**task.arguments, stream=True):
            read.append(chunk)
            if len(read) == task.after:
                has_read.set()

    async with AsyncOpenAI(**_settings(task)) as client:
        running = asyncio.create_task(reading())
        await has_read.wait()
        left_at = time.time()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return {"read": len(read), "left_at": left_at}


def leave_waiting(task: Task) -> dict[str, Any]:
    """By a time-out of the client's own, before any answer."""
    try:
        _client(task).chat.completions.create(**task.arguments)
    except openai.APITimeoutError:
        return {"read": 0, "left_at": time.time()}
    raise AssertionError("an answer came")
