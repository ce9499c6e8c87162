"""A stored response told as a stream: as OpenAI's own would be, down to what its client makes of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseIncompleteEvent,
    ResponseStreamEvent,
)
from pydantic import TypeAdapter

from gateway import errors
from gateway.wire.responses_stream import assemble, disassemble, encode_stream, error_event
from gateway.wire.sse import events

EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 14,
}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": [], **more}


def message(*parts: dict[str, Any], item_id: str = "msg_1") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": list(parts)}


def response(*output: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_800_000_000,
        "completed_at": 1_800_000_001,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-5-mini",
        "output": list(output),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": USAGE,
        **more,
    }


def logged(token: str) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode()), "logprob": -0.5, "top_logprobs": []}


CITED = text(
    "See there.",
    annotations=[{"type": "url_citation", "start_index": 4, "end_index": 9, "title": "T", "url": "https://e.org/"}],
    logprobs=[logged("See"), logged(" there"), logged(".")],
)
REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Think first."}],
    "content": [{"type": "reasoning_text", "text": "Hm, well."}],
    "encrypted_content": "gAAA",
    "status": "completed",
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": '{"city": "Paris"}',
}
CUSTOM = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "status": "completed",
    "call_id": "call_2",
    "name": "run",
    "input": "print(1)",
}
UNKNOWN = {"id": "x_1", "type": "telepathy", "payload": {"a": 1}}

WHOLE = {
    "text": response(message(text("Hello there, you."))),
    "nothing": response(),
    "empty text": response(message(text(""))),
    "two parts": response(message(text("One."), {"type": "refusal", "refusal": "I will not."})),
    "cited": response(message(CITED)),
    "reasoning": response(REASONING, message(text("Yes."))),
    "hidden reasoning": response({"id": "rs_1", "type": "reasoning", "summary": []}, message(text("Yes."))),
    "calls": response(CALL, CUSTOM, {**CALL, "id": "fc_2", "call_id": "call_3", "arguments": ""}),
    "unknown item": response(UNKNOWN, message(text("Yes."), {"type": "picture", "url": "x"})),
    "cut": response(message(text("Hel")), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
}


def parsed(stream: list[bytes]) -> Iterator[dict[str, Any]]:
    """The events of `stream`, each checked: its name is its type, and it has the next number."""
    for number, event in enumerate(events(b"".join(stream))):
        body = json.loads(event.data)
        assert event.raw.startswith(b"event: " + body["type"].encode() + b"\ndata: ")
        assert body["sequence_number"] == number
        yield body


# ------------------------------------------------------------------ object → events


def test_the_events_of_a_text_are_those_of_the_reference() -> None:
    answer = response(message(text("Hello you.")))
    begun = {**answer, "status": "in_progress", "output": [], "usage": None, "completed_at": None}
    item = answer["output"][0]
    place: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    assert list(disassemble(answer)) == [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        ),
        ("response.content_part.added", {**place, "part": text("")}),
        ("response.output_text.delta", {**place, "delta": "Hello", "logprobs": []}),
        ("response.output_text.delta", {**place, "delta": " you.", "logprobs": []}),
        ("response.output_text.done", {**place, "text": "Hello you.", "logprobs": []}),
        ("response.content_part.done", {**place, "part": text("Hello you.")}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": answer}),
    ]


def test_a_call_comes_as_its_arguments() -> None:
    kinds = [(kind, body.get("delta", body.get("arguments"))) for kind, body in disassemble(response(CALL))]
    assert kinds[2:-1] == [
        ("response.output_item.added", None),
        ("response.function_call_arguments.delta", '{"city":'),
        ("response.function_call_arguments.delta", ' "Paris"}'),
        ("response.function_call_arguments.done", '{"city": "Paris"}'),
        ("response.output_item.done", None),
    ]


def test_reasoning_comes_as_its_summary_and_then_its_text() -> None:
    kinds = [kind.removeprefix("response.") for kind, _ in disassemble(response(REASONING))]
    assert kinds[2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        *["reasoning_summary_text.delta"] * 2,
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "content_part.added",
        *["reasoning_text.delta"] * 2,
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]


def test_log_probabilities_and_annotations_come_with_their_text() -> None:
    told = list(disassemble(response(message(CITED))))
    assert [body["logprobs"] for kind, body in told if kind.endswith("output_text.delta")] == [
        [logged("See")],
        [logged(" there")],
        [logged(".")],
    ]
    (annotation,) = [body for kind, body in told if kind.endswith("annotation.added")]
    assert (annotation["annotation_index"], annotation["annotation"]) == (0, CITED["annotations"][0])


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "unknown item"])
def test_openais_client_makes_the_same_of_it(name: str) -> None:
    """Every event has the form its client declares, and adds up to the response."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=omit)
    for body in parsed(encode_stream(WHOLE[name])):
        last = EVENT.validate_python(body)
        state.handle_event(last)
    expected = Response.model_validate(WHOLE[name]).model_dump()
    assert isinstance(last, ResponseCompletedEvent | ResponseIncompleteEvent)
    assert last.response.model_dump() == expected
    if isinstance(last, ResponseCompletedEvent):
        assert state._completed_response is not None
        assert _without_parsed(state._completed_response.model_dump()) == expected


def _without_parsed(value: Any) -> Any:
    """What the client adds for its own convenience."""
    if isinstance(value, dict):
        added = ("parsed", "parsed_arguments")
        return {key: _without_parsed(item) for key, item in value.items() if key not in added}
    return [_without_parsed(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", WHOLE)
def test_deltas_add_up_to_what_is_done(name: str) -> None:
    growing: dict[tuple[Any, ...], str] = {}
    for body in parsed(encode_stream(WHOLE[name])):
        kind, _, end = body["type"].rpartition(".")
        place = (kind, body.get("output_index"), body.get("content_index"), body.get("summary_index"))
        if end == "delta":
            growing[place] = growing.get(place, "") + body["delta"]
        elif end == "done" and kind.endswith(("text", "arguments", "input", "refusal")):
            finished = next(body[key] for key in ("text", "arguments", "input", "refusal") if key in body)
            assert growing.pop(place, "") == finished
    assert growing == {}


def test_a_long_text_comes_in_few_pieces() -> None:
    assert len(encode_stream(response(message(text("word " * 20_000))))) < 50


@pytest.mark.parametrize("output", [None, "x", [None, 3], [{}], [{"type": "message", "content": [None, {}]}]])
def test_odd_output_is_told_as_far_as_it_can_be(output: Any) -> None:
    answer = response(output=output)
    assert list(parsed(encode_stream(answer)))[-1]["response"] == answer


# ------------------------------------------------------------------ events → object


@pytest.mark.parametrize("name", WHOLE)
def test_a_response_survives_being_streamed(name: str) -> None:
    assert assemble(list(parsed(encode_stream(WHOLE[name])))) == WHOLE[name]


@given(st.lists(st.text(), max_size=4), st.text())
def test_any_texts_survive_being_streamed(texts: list[str], arguments: str) -> None:
    answer = response(*(message(text(value)) for value in texts), {**CALL, "arguments": arguments})
    assert assemble(list(parsed(encode_stream(answer)))) == answer


def test_output_that_the_last_event_leaves_out_is_what_was_done() -> None:
    answer = response(message(text("Yes.")), CALL)
    *before, last = parsed(encode_stream(answer))
    outputs: list[Any] = [[], None]
    for output in outputs:
        assert assemble([*before, {**last, "response": {**last["response"], "output": output}}]) == answer


@pytest.mark.parametrize(
    "last",
    [
        None,
        {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}},
        {"type": "error", "message": "x"},
        {"type": "response.completed", "response": None},
    ],
)
def test_what_did_not_come_to_its_end_is_no_answer(last: dict[str, Any] | None) -> None:
    told = list(parsed(encode_stream(WHOLE["text"])))[:-1]
    assert assemble([*told, last] if last else told) is None


def test_an_error_anywhere_spoils_the_answer() -> None:
    told = list(parsed(encode_stream(WHOLE["text"])))
    assert assemble([{"type": "error", "error": {"message": "x"}}, *told]) is None


# ------------------------------------------------------------------ errors


def test_an_error_is_one_event_in_both_of_the_apis_forms_numbered_on() -> None:
    before = b'event: a\ndata: {"sequence_number":1}\n\nevent: b\ndata: {"sequence_number": 7}\n\n'
    raw = error_event(errors.UpstreamCut("gone"), before)
    (event,) = events(raw)
    assert raw.startswith(b"event: error\n")
    nested = {"message": "gone", "type": "server_error", "param": None, "code": "upstream_cut"}
    flat = {"code": "upstream_cut", "message": "gone", "param": None}
    assert json.loads(event.data) == {"type": "error", "sequence_number": 8, **flat, "error": nested}
    assert EVENT.validate_python(json.loads(event.data)).type == "error"


def test_the_first_event_has_number_0() -> None:
    (event,) = events(error_event(errors.UpstreamCut("gone"), b": ping\n\n"))
    assert json.loads(event.data)["sequence_number"] == 0
