"""`POST /v1/responses`: https://platform.openai.com/docs/api-reference/responses. Nothing is stored."""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.simulator import checks, tools
from gateway.simulator.answers import Call, Choice, Wish, answer, schema_of, seed_of
from gateway.simulator.chat import text_of
from gateway.simulator.faults import Faults
from gateway.simulator.reply import Event, Json, Reply, Stamp
from gateway.simulator.tokens import Tokens

Fields = Mapping[str, Any]
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_DEFAULTS: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "store": True,
    "user": None,
    "metadata": {},
}


async def respond(fields: Fields, faults: Faults, tokens: Tokens) -> Reply:
    checks.responses(fields)
    (choice,) = await answer(_wish(fields, faults), tokens)
    stamp = Stamp.new("resp_", fields["model"])
    usage = None if faults.no_usage else _usage(await tokens.prompt(as_chat(fields), stamp.model), choice, faults)
    items = list(_items(choice))
    final = _response(stamp, fields, choice, items, usage)
    if not fields.get("stream"):
        return Reply(choice.tokens, body=final)
    return Reply(choice.tokens, events=_numbered(_events(final, items, choice)))


def _wish(fields: Fields, faults: Faults) -> Wish:
    given = fields["input"]
    said = [given] if isinstance(given, str) else [i.get("content") for i in given if i.get("role") == "user"]
    return Wish(
        model=fields["model"],
        prompt=text_of(said[-1]) if said else "",
        seed=seed_of("responses", fields["model"], fields.get("instructions"), given),
        limit=fields.get("max_output_tokens"),
        offer=tools.offer(fields, has_result=not isinstance(given, str) and given[-1].get("type") in _OUTPUTS),
        schema=schema_of((fields.get("text") or {}).get("format")),
        faults=faults,
    )


# ------------------------------------------------------------------ what is counted


def as_chat(fields: Fields) -> Json:
    """The same conversation as a chat request: both endpoints put it before the model alike."""
    given = fields["input"]
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else [_message(item) for item in given]
    if fields.get("instructions"):
        messages.insert(0, {"role": "system", "content": fields["instructions"]})
    functions = [
        {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
        for tool in fields.get("tools") or ()
        if tool.get("type") == "function"
    ]
    return {"model": fields["model"], "messages": messages, **({"tools": functions} if functions else {})}


def _message(item: Fields) -> Json:
    match item.get("type", "message"):
        case "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments", "")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        case "function_call_output" | "custom_tool_call_output":
            return {"role": "tool", "tool_call_id": item.get("call_id"), "content": text_of(item.get("output"))}
        case "message":
            return {"role": item.get("role", "user"), "content": text_of(item.get("content"))}
    return {"role": "assistant", "content": ""}


def _usage(input_tokens: int, choice: Choice, faults: Faults) -> Json:
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": min(faults.cached, input_tokens)},
        "output_tokens": choice.tokens,
        "output_tokens_details": {"reasoning_tokens": choice.reasoning},
        "total_tokens": input_tokens + choice.tokens,
    }


# ------------------------------------------------------------------ the whole answer


def _response(stamp: Stamp, fields: Fields, choice: Choice, items: list[Json], usage: Json | None) -> Json:
    is_cut = choice.finish == "length"
    given = {name: fields[name] for name in _DEFAULTS if fields.get(name) is not None}
    return {
        "id": stamp.id,
        "object": "response",
        "created_at": stamp.created,
        "status": "incomplete" if is_cut else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "model": stamp.model,
        "output": items,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "text": {"format": {"type": "text"}, **(fields.get("text") or {})},
        "usage": usage,
        **_DEFAULTS,
        **given,
    }


def _items(choice: Choice) -> Iterator[Json]:
    status = "incomplete" if choice.finish == "length" else "completed"
    if choice.reasoning:
        yield {"id": f"rs_{secrets.token_hex(12)}", "type": "reasoning", "summary": []}
    for call in choice.calls:
        yield _call_item(call, status)
    if not choice.calls and (choice.pieces or not choice.reasoning):
        item_id = f"msg_{secrets.token_hex(12)}"
        part = _text_part(choice.text)
        yield {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": [part]}


def _call_item(call: Call, status: str) -> Json:
    common = {"status": status, "call_id": call.id, "name": call.tool.name}
    if call.tool.kind == "custom":
        return {"id": f"ctc_{secrets.token_hex(12)}", "type": "custom_tool_call", "input": call.arguments, **common}
    return {"id": f"fc_{secrets.token_hex(12)}", "type": "function_call", "arguments": call.arguments, **common}


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


# ------------------------------------------------------------------ the stream


def _numbered(events: Iterator[tuple[str, Json, int]]) -> list[Event]:
    return [
        Event(
            b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, **body, "sequence_number": n})),
            cost,
        )
        for n, (kind, body, cost) in enumerate(events)
    ]


def _events(final: Json, items: list[Json], choice: Choice) -> Iterator[tuple[str, Json, int]]:
    """Kind, content and tokens of each event, in OpenAI's order."""
    begun = {**final, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield "response.created", {"response": begun}, 0
    yield "response.in_progress", {"response": begun}, choice.reasoning
    calls = iter(choice.calls)
    for index, item in enumerate(items):
        match item["type"]:
            case "message":
                yield from _message_events(index, item, choice)
            case "reasoning":
                yield "response.output_item.added", {"output_index": index, "item": item}, 0
                yield "response.output_item.done", {"output_index": index, "item": item}, 0
            case _:
                yield from _call_events(index, item, next(calls))
    yield f"response.{final['status']}", {"response": final}, 0


def _message_events(index: int, item: Json, choice: Choice) -> Iterator[tuple[str, Json, int]]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    begun = {**item, "status": "in_progress", "content": []}
    yield "response.output_item.added", {"output_index": index, "item": begun}, 0
    yield "response.content_part.added", {**place, "part": _text_part("")}, 0
    for piece in choice.pieces:
        yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}, 1
    yield "response.output_text.done", {**place, "text": choice.text, "logprobs": []}, 0
    yield "response.content_part.done", {**place, "part": _text_part(choice.text)}, 0
    yield "response.output_item.done", {"output_index": index, "item": item}, 0


def _call_events(index: int, item: Json, call: Call) -> Iterator[tuple[str, Json, int]]:
    place = {"item_id": item["id"], "output_index": index}
    kind, key = (
        ("custom_tool_call_input", "input") if call.tool.kind == "custom" else ("function_call_arguments", "arguments")
    )
    begun = {**item, "status": "in_progress", key: ""}
    yield "response.output_item.added", {"output_index": index, "item": begun}, 1
    for piece in call.pieces:
        yield f"response.{kind}.delta", {**place, "delta": piece}, 1
    yield f"response.{kind}.done", {**place, key: call.arguments}, 0
    yield "response.output_item.done", {"output_index": index, "item": item}, 0


def error_event(message: str, code: str | None) -> bytes:
    """How this endpoint reports an error in the middle of a stream."""
    body = {"type": "error", "code": code or "server_error", "message": message, "param": None}
    return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"
