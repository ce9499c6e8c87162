"""`POST /v1/chat/completions`: https://platform.openai.com/docs/api-reference/chat."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from gateway.simulator import checks, logprobs, tools
from gateway.simulator.answers import Call, Choice, Wish, answer, schema_of, seed_of
from gateway.simulator.faults import Faults
from gateway.simulator.reply import DONE, Event, Json, Reply, Stamp, sse, usage, with_usage
from gateway.simulator.tokens import Tokens

Fields = Mapping[str, Any]
Chunk = tuple[Json, int]
"""The choice of one chunk, and the tokens it carries."""


async def respond(fields: Fields, faults: Faults, tokens: Tokens) -> Reply:
    checks.chat(fields)
    model: str = fields["model"]
    choices = await answer(_wish(fields, faults), tokens)
    counted = usage(await tokens.prompt(fields, model), choices, faults)
    stamp = Stamp.new("chatcmpl-", model)
    generated = max(choice.tokens for choice in choices)
    if not fields.get("stream"):
        whole = [_whole(number, choice, _top(fields)) for number, choice in enumerate(choices)]
        body = stamp.chunk("chat.completion", whole, service_tier="default")
        return Reply(generated, body=body if counted is None else {**body, "usage": counted})

    def chunk(parts: list[Json]) -> Json:
        return stamp.chunk("chat.completion.chunk", parts, service_tier="default")

    chunks = [(chunk([part]), cost) for part, cost in _parts(choices, _top(fields))]
    if (fields.get("stream_options") or {}).get("include_usage"):
        chunks = with_usage(chunks, chunk([]), counted)
    return Reply(generated, events=[*(Event(sse(chunk), cost) for chunk, cost in chunks), DONE])


def _wish(fields: Fields, faults: Faults) -> Wish:
    messages: Sequence[Fields] = fields["messages"]
    stop = fields.get("stop") or ()
    return Wish(
        model=fields["model"],
        prompt=text_of(next((m.get("content") for m in reversed(messages) if m["role"] == "user"), "")),
        seed=seed_of("chat", fields["model"], messages, fields.get("seed")),
        limit=fields.get("max_completion_tokens") or fields.get("max_tokens"),
        choices=fields.get("n") or 1,
        offer=tools.offer(fields, has_result=messages[-1]["role"] in ("tool", "function")),
        schema=schema_of(fields.get("response_format")),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        faults=faults,
    )


def text_of(content: object) -> str:
    """The text in a message's content, whatever its form."""
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _top(fields: Fields) -> int | None:
    """How many likeliest tokens to show; None when no log probabilities are wanted."""
    return (fields.get("top_logprobs") or 0) if fields.get("logprobs") else None


def _whole(number: int, choice: Choice, top: int | None) -> Json:
    message: Json = {"role": "assistant", "content": None if choice.calls else choice.text, "refusal": None}
    if choice.calls:
        message["tool_calls"] = [_call(call, call.arguments) for call in choice.calls]
    message["annotations"] = []
    shown = None if top is None or choice.calls else logprobs.chat(choice.pieces, top)
    return {"index": number, "message": message, "logprobs": shown, "finish_reason": choice.finish}


def _call(call: Call, arguments: str) -> Json:
    if call.tool.kind == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.tool.name, "input": arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.tool.name, "arguments": arguments}}


def _parts(choices: Sequence[Choice], top: int | None) -> Iterator[Chunk]:
    """The parts of all choices, taking turns as OpenAI's do."""
    streams = (_parts_of(number, choice, top) for number, choice in enumerate(choices))
    for turn in zip_longest(*streams):
        yield from (part for part in turn if part is not None)


def _parts_of(number: int, choice: Choice, top: int | None) -> Iterator[Chunk]:
    def part(delta: Json, cost: int, finish: str | None = None, shown: Json | None = None) -> Chunk:
        return {"index": number, "delta": delta, "logprobs": shown, "finish_reason": finish}, cost

    content = None if choice.calls else ""
    yield part({"role": "assistant", "content": content, "refusal": None}, choice.reasoning)
    for piece in choice.pieces:
        yield part({"content": piece}, 1, shown=None if top is None else logprobs.chat((piece,), top))
    for index, call in enumerate(choice.calls):
        yield part({"tool_calls": [{"index": index, **_call(call, "")}]}, 1)
        kind, key = ("custom", "input") if call.tool.kind == "custom" else ("function", "arguments")
        for piece in call.pieces:
            yield part({"tool_calls": [{"index": index, kind: {key: piece}}]}, 1)
    yield part({}, 0, finish=choice.finish)
