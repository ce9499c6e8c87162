"""Who is tested, and with what: the clients, and the requests that each of them makes."""

from dataclasses import dataclass, field
from typing import Any

from tests.clients.driven import Client

_OPENAI = frozenset(
    {
        "chat",
        "chat_stream",
        "chat_events",
        "structured",
        "raw",
        "embeddings",
        "completions",
        "completions_stream",
        "responses",
        "responses_stream",
        "responses_structured",
        "upload",
        "files",
        "download",
        "delete",
        "transcribe",
        "speak",
        "moderate",
        "draw",
        "leave_stream",
        "leave_responses_stream",
        "leave_waiting",
    }
)
_OPENAI_PYTHON = _OPENAI | {"structured_stream", "chat_async", "chat_stream_async", "leave_stream_async"}
_COMMON = frozenset(
    {"chat", "chat_stream", "structured", "embeddings", "responses", "responses_stream", "leave_stream"}
)

CLIENTS = (
    Client("openai-3", None, "openai_sdk", _OPENAI_PYTHON, is_openai=True),
    Client("openai-2", "openai-2", "openai_sdk", _OPENAI_PYTHON, is_openai=True),
    Client("openai-1", "openai-1", "openai_sdk", _OPENAI_PYTHON, is_openai=True),
    Client("litellm", "openai-2", "litellm_sdk", _COMMON | {"chat_async", "completions"}),
    Client("langchain", "agents", "langchain_sdk", _COMMON | {"chat_async", "completions"}),
    Client("pydantic-ai", "agents", "pydantic_ai_sdk", _COMMON),
    Client("openai-node", "node", "openai_sdk", _OPENAI, is_openai=True),
    Client(
        "ai-sdk",
        "node",
        "ai_sdk",
        _COMMON | {"structured_stream", "completions", "completions_stream", "leave_waiting"},
        obeys_should_retry=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One request, in OpenAI's words whatever the client's own are."""

    name: str
    call: str
    arguments: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    fails: bool = False
    """Whether the client is to raise an exception."""
    verbatim: bool = False
    """Only for clients that take the fields of a request as they are."""


PARIS = [{"role": "user", "content": "Tell me about Paris, briefly."}]
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": PARIS}
WEATHER: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Current weather of a city",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
                "strict": True,
            },
        }
    ],
}
CITY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Describe Paris as JSON."}],
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "City",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "inhabitants": {"type": "integer"},
                    "districts": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["name", "inhabitants", "districts"],
                "additionalProperties": False,
            },
        },
    },
}
USAGE = {"stream_options": {"include_usage": True}}
UNICODE = [
    {"role": "system", "content": "Antworte in Versen \u2013 用中文.\u2028"},
    {"role": "user", "content": "Crème brûlée 🍮 \U0001f468\u200d\U0001f469\u200d\U0001f467 \x00 \ufeff שלום, please"},
]
TALK = [
    {"role": "developer", "content": "Be terse."},
    {"role": "user", "content": [{"type": "text", "text": "What is the weather in Rome?"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Sun."},
]
MANY_FIELDS = {
    "temperature": 1.0,
    "top_p": 1,
    "n": 2,
    "seed": 9007199254740993,
    "stop": ["!", "\n\n"],
    "logprobs": True,
    "top_logprobs": 2,
    "presence_penalty": -0.5,
    "logit_bias": {"50256": -100},
    "user": "someone",
    "metadata": {"team": "a"},
    "max_completion_tokens": 40,
}
RESPONSES: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Tell me about Paris, briefly."}
RESPONSES_WEATHER: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "input": "What is the weather in Paris?",
    "tools": [{"type": "function", **WEATHER["tools"][0]["function"]}],
}
LEGACY: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time"}
EMBEDDINGS: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["a small cat", "a large dog"]}


def _trouble(wish: str) -> dict[str, str]:
    return {"x-simulate": wish}


SCENARIOS = (
    Scenario("chat", "chat", CHAT),
    Scenario("chat, async", "chat_async", CHAT),
    Scenario("chat with a cap", "chat", {**CHAT, "max_tokens": 5}),
    Scenario("chat with content of all alphabets", "chat", {**CHAT, "messages": UNICODE}),
    Scenario("chat after a tool's result", "chat", {**CHAT, "messages": TALK}, verbatim=True),
    Scenario("chat with many fields", "chat", {**CHAT, **MANY_FIELDS}, verbatim=True),
    Scenario("chat in JSON mode", "chat", {**CITY, "response_format": {"type": "json_object"}}, verbatim=True),
    Scenario("stream", "chat_stream", CHAT),
    Scenario("stream, async", "chat_stream_async", CHAT),
    Scenario("stream with usage", "chat_stream", {**CHAT, **USAGE}),
    Scenario("stream with a cap", "chat_stream", {**CHAT, "max_tokens": 5}),
    Scenario("stream with content of all alphabets", "chat_stream", {**CHAT, "messages": UNICODE}),
    Scenario("stream with many fields", "chat_stream", {**CHAT, **MANY_FIELDS, **USAGE}, verbatim=True),
    Scenario("stream as events", "chat_events", CHAT),
    Scenario("tools", "chat", WEATHER),
    Scenario("tools in a stream", "chat_stream", WEATHER),
    Scenario("tools in a stream as events", "chat_events", WEATHER),
    Scenario("structured output", "structured", CITY),
    Scenario("structured output in a stream", "structured_stream", CITY),
    Scenario("embeddings", "embeddings", EMBEDDINGS),
    Scenario("embeddings as floats", "embeddings", {**EMBEDDINGS, "encoding_format": "float"}, verbatim=True),
    Scenario("embeddings, short", "embeddings", {**EMBEDDINGS, "dimensions": 8}, verbatim=True),
    Scenario("embeddings of tokens", "embeddings", {**EMBEDDINGS, "input": [[1, 2, 3], [4]]}, verbatim=True),
    Scenario("completions", "completions", LEGACY),
    Scenario("completions in a stream", "completions_stream", LEGACY),
    Scenario("completions with usage", "completions_stream", {**LEGACY, "n": 2, **USAGE}, verbatim=True),
    Scenario("responses", "responses", RESPONSES),
    Scenario("responses in a stream", "responses_stream", RESPONSES),
    Scenario("responses with tools", "responses", RESPONSES_WEATHER, verbatim=True),
    Scenario("responses with tools in a stream", "responses_stream", RESPONSES_WEATHER, verbatim=True),
    Scenario("responses with structured output", "responses_structured", RESPONSES, verbatim=True),
    Scenario("400 for a value", "chat", {**CHAT, "temperature": 5}, fails=True),
    Scenario(
        "400 for a wrong role", "chat", {**CHAT, "messages": [{"role": "x", "content": ""}]}, fails=True, verbatim=True
    ),
    Scenario("400 in a stream", "chat_stream", {**CHAT, "temperature": 5}, fails=True),
    Scenario("400 for embeddings", "embeddings", {**EMBEDDINGS, "dimensions": 0}, fails=True, verbatim=True),
    Scenario("400 for responses", "responses", {**RESPONSES, "temperature": 5}, fails=True, verbatim=True),
    Scenario("400 for completions", "completions", {**LEGACY, "temperature": 5}, fails=True, verbatim=True),
    Scenario("403", "chat", CHAT, _trouble("status=403"), fails=True),
    Scenario("404 for a model", "chat", CHAT, _trouble("status=404"), fails=True),
    Scenario("404 for a model in a stream", "chat_stream", CHAT, _trouble("status=404"), fails=True),
    Scenario("409", "chat", CHAT, _trouble("status=409"), fails=True),
    Scenario("422", "chat", CHAT, _trouble("status=422"), fails=True),
    Scenario("429", "chat", CHAT, _trouble("status=429; retry-after=3"), fails=True),
    Scenario("429 in a stream", "chat_stream", CHAT, _trouble("status=429; retry-after=3"), fails=True),
    Scenario("500", "chat", CHAT, _trouble("status=500"), fails=True),
    Scenario("503", "chat", CHAT, _trouble("status=503"), fails=True),
    Scenario("an error in the middle of a stream", "chat_stream", CHAT, _trouble("error=4"), fails=True),
    Scenario(
        "an error in the middle of a stream of responses",
        "responses_stream",
        RESPONSES,
        _trouble("error=6"),
        fails=True,
        verbatim=True,
    ),
    Scenario("no usage", "chat", CHAT, _trouble("no-usage")),
    Scenario("no usage in a stream", "chat_stream", {**CHAT, **USAGE}, _trouble("no-usage")),
    Scenario("cached and reasoning tokens", "chat", CHAT, _trouble("cached=4; reasoning=9")),
    Scenario(
        "cached and reasoning tokens in a stream", "chat_stream", {**CHAT, **USAGE}, _trouble("cached=4; reasoning=9")
    ),
)


def plays(client: Client, scenario: Scenario) -> bool:
    return scenario.call in client.calls and (client.is_openai or not scenario.verbatim)


PAIRS = tuple((client, scenario) for client in CLIENTS for scenario in SCENARIOS if plays(client, scenario))
