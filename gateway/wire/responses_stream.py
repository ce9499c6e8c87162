"""The two forms of an answer of the Responses API, and the way between them.

A stream tells how a response object comes about, in named and numbered events, and its last event
carries the whole object. So putting an answer together is taking that, and telling a stored one is
making up the events before it:

    response.created, response.in_progress            the response without output
      response.output_item.added                      for each item: without content
        response.content_part.added                     for each part of a message: without text
          response.output_text.delta, …                   word by word
          response.output_text.done
        response.content_part.done
      response.output_item.done                       the item
    response.completed | response.incomplete          the response; no `[DONE]` follows

Reasoning, refusals and calls have deltas of their own in the same places. Items and parts of unknown
types are added and done as a whole.

Shapes: "Streaming events" of the Responses API in OpenAI's API reference.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.errors import GatewayError
from gateway.wire import json_bytes
from gateway.wire.errors import error_object, reported_error
from gateway.wire.pieces import phrases, with_logs

LAST = ("response.completed", "response.incomplete")
"""Types of the event that makes a stream whole."""

_SEQUENCE_NUMBER = re.compile(rb'"sequence_number"\s*:\s*([0-9]{1,15})')
_UNBEGUN: dict[str, Any] = {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
GROWING = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}
"""Type of an item → the key of its text that grows, and the name of its events."""
TEXTS = {
    "output_text": ("text", "response.output_text"),
    "refusal": ("refusal", "response.refusal"),
    "reasoning_text": ("text", "response.reasoning_text"),
}
"""Type of a content part → the key of its text, and the name of its events."""

_Event = tuple[str, dict[str, Any]]
"""Type and content, `sequence_number` aside."""


# ------------------------------------------------------------------ events → object


def assemble(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The response that the last event carries; None when the stream did not come to it, or told an error.

    Some servers leave the output out of it; then the finished items are what was done before.
    """
    if any(reported_error(event) is not None for event in events):
        return None
    for event in reversed(events):
        kind, response = event.get("type"), event.get("response")
        if kind in LAST and isinstance(response, dict):
            output = response.get("output") or _done_items(events)
            return {**response, "status": kind.removeprefix("response."), "output": output}
    return None


def _done_items(events: Iterable[Mapping[str, Any]]) -> list[Any]:
    done = {str(event.get("output_index")): event.get("item") for event in events if event.get("type") == ITEM_DONE}
    return list(done.values())


ITEM_ADDED = "response.output_item.added"
ITEM_DONE = "response.output_item.done"
PART_ADDED = "response.content_part.added"
PART_DONE = "response.content_part.done"


_ANNOUNCED = ("response.created", "response.queued", "response.in_progress")
_BEGUN_EMPTY = {"message": "content", "reasoning": "summary"}
"""Type of an item that is added before anything is in it → the key that will hold it."""


def announces(event: Mapping[str, Any]) -> bool:
    """Whether an event comes before anything that was generated."""
    kind, item, part = event.get("type"), event.get("item"), event.get("part")
    if kind == ITEM_ADDED and isinstance(item, dict):
        return (key := _BEGUN_EMPTY.get(str(item.get("type")))) is not None and not item.get(key)
    if kind == PART_ADDED and isinstance(part, dict):
        return (text := TEXTS.get(str(part.get("type")))) is not None and not part.get(text[0])
    return kind in _ANNOUNCED


# ------------------------------------------------------------------ object → events


def encode_stream(answer: Mapping[str, Any]) -> list[bytes]:
    """`answer` as the server-sent events of a stream, one an item."""
    return [encode(kind, number, body) for number, (kind, body) in enumerate(disassemble(answer))]


def error_event(error: GatewayError, after: bytes) -> bytes:
    """How a stream that has begun tells `error`: numbered on from `after`, the events before it.

    As OpenAI's servers send it, with an `error` object, which makes OpenAI's own clients raise; and as its
    reference has it, with the same facts beside the type, for clients made from that.
    """
    (nested,) = error_object(error).values()
    flat = {key: nested[key] for key in ("code", "message", "param")}
    numbers = _SEQUENCE_NUMBER.findall(after)
    return encode("error", int(numbers[-1]) + 1 if numbers else 0, {**flat, "error": nested})


def encode(kind: str, number: int, body: Mapping[str, Any]) -> bytes:
    """One event of a stream, the `number`th."""
    return b"event: %s\ndata: %s\n\n" % (
        kind.encode(),
        json_bytes.dumps({"type": kind, "sequence_number": number, **body}),
    )


def disassemble(answer: Mapping[str, Any]) -> Iterator[_Event]:
    """Type and content of the events in which `answer`, a finished response, might have come."""
    begun = {"response": {**answer, **_UNBEGUN, **({"completed_at": None} if "completed_at" in answer else {})}}
    yield "response.created", begun
    yield "response.in_progress", begun
    output = answer.get("output")
    for index, item in enumerate(output if isinstance(output, list) else ()):
        if isinstance(item, dict):
            yield from _item(index, item)
    yield f"response.{answer['status']}", {"response": answer}


def _item(index: int, item: Mapping[str, Any]) -> Iterator[_Event]:
    place = {"output_index": index}
    within = {"item_id": item.get("id", ""), **place}
    status = {"status": "in_progress"} if "status" in item else {}
    match item.get("type"):
        case "message" | "reasoning":
            yield ITEM_ADDED, {**place, "item": {**item, **status, **_emptied(item, "summary", "content")}}
            yield from _summary(within, item.get("summary"))
            yield from _content(within, item.get("content"))
        case kind if isinstance(kind, str) and kind in GROWING:
            key, name = GROWING[kind]
            yield ITEM_ADDED, {**place, "item": {**item, **status, key: ""}}
            yield from _text(within, name, key, item.get(key))
        case _:
            yield ITEM_ADDED, {**place, "item": item}
    yield ITEM_DONE, {**place, "item": item}


def _summary(within: Mapping[str, Any], summary: object) -> Iterator[_Event]:
    """What a reasoning item shows of the reasoning."""
    for number, part in enumerate(_dicts(summary)):
        place = {**within, "summary_index": number}
        yield "response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}}
        yield from _text(place, "response.reasoning_summary_text", "text", part.get("text"))
        yield "response.reasoning_summary_part.done", {**place, "part": part}


def _content(within: Mapping[str, Any], content: object) -> Iterator[_Event]:
    for number, part in enumerate(_dicts(content)):
        place = {**within, "content_index": number}
        key, name = TEXTS.get(str(part.get("type")), ("", ""))
        if not key:
            yield PART_ADDED, {**place, "part": part}
        elif name == "response.output_text":
            yield from _output_text(place, part)
        else:
            yield PART_ADDED, {**place, "part": {**part, key: ""}}
            yield from _text(place, name, key, part.get(key))
        yield PART_DONE, {**place, "part": part}


def _output_text(place: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[_Event]:
    """The text of an answer: alone in having log probabilities and annotations."""
    text, logprobs, annotations = str(part.get("text") or ""), _dicts(part.get("logprobs")), part.get("annotations")
    yield PART_ADDED, {**place, "part": {**part, "text": "", **_emptied(part, "annotations", "logprobs")}}
    for piece, logs in with_logs(text, logprobs):
        yield "response.output_text.delta", {**place, "delta": piece, "logprobs": logs}
    for number, annotation in enumerate(_dicts(annotations)):
        added = {"annotation_index": number, "annotation": annotation}
        yield "response.output_text.annotation.added", {**place, **added}
    yield "response.output_text.done", {**place, "text": text, "logprobs": logprobs}


def _text(place: Mapping[str, Any], name: str, key: str, text: object) -> Iterator[_Event]:
    text = text if isinstance(text, str) else ""
    for piece in phrases(text):
        yield f"{name}.delta", {**place, "delta": piece}
    yield f"{name}.done", {**place, key: text}


def _emptied(whole: Mapping[str, Any], *keys: str) -> dict[str, list[Any]]:
    """The lists of `whole` under `keys`, before anything was in them."""
    return {key: [] for key in keys if isinstance(whole.get(key), list)}


def _dicts(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
