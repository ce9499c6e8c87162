"""`langchain-openai`: a task's arguments are OpenAI's, and put in LangChain's words here."""

# mypy: disable-error-code="import-not-found"

import time
from collections.abc import Iterator
from importlib.metadata import version
from types import SimpleNamespace as Task
from typing import Any

from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

VERSIONS = {"langchain-openai": version("langchain-openai"), "openai": version("openai")}


def _settings(task: Task) -> dict[str, Any]:
    return {
        "model": task.arguments["model"],
        "base_url": task.base_url,
        "api_key": task.key,
        "default_headers": task.headers,
        "max_retries": task.max_retries,
        "timeout": task.timeout_s,
    }


def _chat(task: Task, **settings: Any) -> Any:
    """A model, with tools bound if the task has some."""
    known = {name: task.arguments[name] for name in ("temperature", "max_tokens", "seed") if name in task.arguments}
    model = ChatOpenAI(**_settings(task), **known, stream_usage="stream_options" in task.arguments, **settings)
    tools = task.arguments.get("tools")
    return model.bind_tools(tools) if tools else model


def chat(task: Task) -> Any:
    return _chat(task).invoke(task.arguments["messages"])


async def chat_async(task: Task) -> Any:
    return await _chat(task).ainvoke(task.arguments["messages"])


def chat_stream(task: Task) -> Iterator[Any]:
    yield from _chat(task).stream(task.arguments["messages"])


def structured(task: Task) -> Any:
    schema = task.arguments["response_format"]["json_schema"]
    model = _chat(task).with_structured_output(
        {"title": schema["name"], **schema["schema"]}, method="json_schema", strict=True
    )
    return model.invoke(task.arguments["messages"])


def embeddings(task: Task) -> Any:
    # Cutting texts into tokens first would need a file from the network.
    return OpenAIEmbeddings(**_settings(task), check_embedding_ctx_length=False).embed_documents(
        task.arguments["input"]
    )


def completions(task: Task) -> Any:
    return OpenAI(**_settings(task)).generate([task.arguments["prompt"]]).generations


def responses(task: Task) -> Any:
    return _chat(task, use_responses_api=True).invoke(task.arguments["input"])


def responses_stream(task: Task) -> Iterator[Any]:
    yield from _chat(task, use_responses_api=True).stream(task.arguments["input"])


def leave_stream(task: Task) -> dict[str, Any]:
    stream = _chat(task).stream(task.arguments["messages"])
    read = sum(1 for _ in zip(range(task.after), stream, strict=False))
    left_at = time.time()
    stream.close()
    return {"read": read, "left_at": left_at}
