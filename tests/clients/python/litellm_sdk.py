"""LiteLLM as a library, talking to an OpenAI-compatible address."""

# mypy: disable-error-code="import-not-found"

import time
from collections.abc import Iterator
from importlib.metadata import version
from types import SimpleNamespace as Task
from typing import Any

import litellm

VERSIONS = {"litellm": version("litellm"), "openai": version("openai")}
litellm.suppress_debug_info = True


def _arguments(task: Task) -> dict[str, Any]:
    return {
        **task.arguments,
        "model": f"openai/{task.arguments['model']}",
        "api_base": task.base_url,
        "api_key": task.key,
        "extra_headers": task.headers,
        "max_retries": task.max_retries,
        "timeout": task.timeout_s,
    }


def chat(task: Task) -> Any:
    return litellm.completion(**_arguments(task))


def chat_stream(task: Task) -> Iterator[Any]:
    yield from litellm.completion(**_arguments(task), stream=True)


async def chat_async(task: Task) -> Any:
    return await litellm.acompletion(**_arguments(task))


def structured(task: Task) -> Any:
    return litellm.completion(**_arguments(task)).choices[0].message.content


def embeddings(task: Task) -> Any:
    return litellm.embedding(**_arguments(task))


def completions(task: Task) -> Any:
    return litellm.text_completion(**{**_arguments(task), "model": f"text-completion-openai/{task.arguments['model']}"})


def responses(task: Task) -> Any:
    return litellm.responses(**_arguments(task))


def responses_stream(task: Task) -> Iterator[Any]:
    yield from litellm.responses(**_arguments(task), stream=True)


def leave_stream(task: Task) -> dict[str, Any]:
    stream = litellm.completion(**_arguments(task), stream=True)
    read = sum(1 for _ in zip(range(task.after), stream, strict=False))
    left_at = time.time()
    stream.completion_stream.close()
    return {"read": read, "left_at": left_at}
