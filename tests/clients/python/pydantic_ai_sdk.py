"""`pydantic-ai`: a task's arguments are OpenAI's, and put in Pydantic AI's words here."""

# mypy: disable-error-code="import-not-found"

import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from types import SimpleNamespace as Task
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, Embedder, NativeOutput, StructuredDict
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

VERSIONS = {"pydantic-ai": version("pydantic-ai-slim"), "openai": version("openai")}


def _provider(task: Task) -> OpenAIProvider:
    client = AsyncOpenAI(
        base_url=task.base_url,
        api_key=task.key,
        default_headers=task.headers,
        max_retries=task.max_retries,
        timeout=task.timeout_s,
    )
    return OpenAIProvider(openai_client=client)


def _agent(task: Task, kind: Any = OpenAIChatModel, **settings: Any) -> Any:
    """An agent with the one tool that it can run itself, if the task has any."""
    agent = Agent(kind(task.arguments["model"], provider=_provider(task)), **settings)
    if "tools" in task.arguments:
        agent.tool_plain(get_weather)
    return agent


def get_weather(city: str) -> str:
    """Current weather of a city"""
    return f"Rain in {city}."


def _prompt(task: Task) -> str:
    prompt: str = task.arguments["input"] if "input" in task.arguments else task.arguments["messages"][-1]["content"]
    return prompt


def _settings(task: Task) -> dict[str, Any]:
    return {name: task.arguments[name] for name in ("temperature", "max_tokens", "seed") if name in task.arguments}


def _said(result: Any) -> Any:
    return {
        "messages": ModelMessagesTypeAdapter.dump_python(result.all_messages(), mode="json"),
        "output": result.output,
    }


async def chat(task: Task) -> Any:
    return _said(await _agent(task).run(_prompt(task), model_settings=_settings(task)))


async def chat_stream(task: Task) -> AsyncIterator[Any]:
    async with _agent(task).run_stream_events(_prompt(task), model_settings=_settings(task)) as events:
        async for event in events:
            yield _said(event.result) if hasattr(event, "result") and hasattr(event.result, "output") else event


async def structured(task: Task) -> Any:
    schema = task.arguments["response_format"]["json_schema"]
    kind = NativeOutput(StructuredDict(schema["schema"], name=schema["name"]))
    return _said(await _agent(task, output_type=kind).run(_prompt(task)))


async def embeddings(task: Task) -> Any:
    embedder = Embedder(OpenAIEmbeddingModel(task.arguments["model"], provider=_provider(task)))
    made = await embedder.embed_documents(task.arguments["input"])
    return {"embeddings": made.embeddings, "usage": made.usage}


async def responses(task: Task) -> Any:
    return _said(await _agent(task, OpenAIResponsesModel).run(_prompt(task)))


async def responses_stream(task: Task) -> AsyncIterator[Any]:
    async with _agent(task, OpenAIResponsesModel).run_stream_events(_prompt(task)) as events:
        async for event in events:
            yield _said(event.result) if hasattr(event, "result") and hasattr(event.result, "output") else event


async def leave_stream(task: Task) -> Any:
    """By leaving the block in which the events come."""
    read = 0
    async with _agent(task).run_stream_events(_prompt(task)) as events:
        async for _ in events:
            read += 1
            if read == task.after:
                break
        left_at = time.time()
    return {"read": read, "left_at": left_at}
