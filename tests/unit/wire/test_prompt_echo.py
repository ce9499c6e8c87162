import json
from typing import Any

import pytest

from gateway.exchange import Gone
from gateway.wire.prompt_echo import Echo
from gateway.wire.sse import events

PROMPT = {"id": "pmpt_1", "variables": {"a": "\ud83d"}, "version": "2"}


class Kept(Gone):
    """A client that keeps what it is sent."""

    def __init__(self) -> None:
        self.data = b""

    async def answer(self, status: int, headers: Any, body: bytes) -> None:
        self.data = body

    async def write(self, data: bytes) -> None:
        self.data += data


async def written(data: bytes) -> bytes:
    kept = Kept()
    await Echo(kept, PROMPT).write(data)
    return kept.data


async def answered(body: bytes, status: int = 200) -> bytes:
    kept = Kept()
    await Echo(kept, PROMPT).answer(status, [], body)
    return kept.data


@pytest.mark.parametrize(
    "response",
    [
        '{"object":"response","prompt":null,"x":1.0}',
        '{"object":"response","x":1.0}',
        '{"object":"response", "prompt" : {"id":"other"}, "x":1.0}',
        '{"object":"response","tools":[{"prompt":null}],"x":1.0}',
        '{"object":"response","output":[{"text":"\\"prompt\\":null"}],"prompt":null,"x":1.0}',
    ],
)
async def test_a_response_tells_its_prompt_in_an_answer_and_in_an_event(response: str) -> None:
    given = json.loads(response)
    told = {**given, "prompt": PROMPT}
    answer = await answered(response.encode())
    assert json.loads(answer) == told
    assert b'"x":1.0' in answer
    event = f'event: response.completed\ndata: {{"type":"response.completed","response":{response}}}\n\n'.encode()
    shown = await written(b": ping\n\n" + event)
    assert shown.startswith(b": ping\n\nevent: response.completed\ndata: {")
    assert shown.endswith(b"}\n\n")
    assert json.loads(shown.split(b"data: ")[1])["response"] == told


async def test_an_event_of_several_lines_stays_one() -> None:
    shown = await written(b'data: {"type":"response.completed",\ndata: "response":\r\ndata: {"object":"response"}}\n\n')
    (event,) = events(shown)
    assert json.loads(event.data)["response"] == {"object": "response", "prompt": PROMPT}


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"type":"response.output_text.delta","delta":"a"}\n\n',
        b'data: {"type":"response.completed","response":5}\n\n',
        b'data: {"type":"response.completed"}\n\n',
        b'data: {"type":"response.completed", not JSON\n\n',
        b'data: {"type":"response.completed","response":{"object":"other"}}\n\n',
        b": ping\n\n",
    ],
)
async def test_what_carries_no_response_stays_as_it_is(data: bytes) -> None:
    assert await written(data) == data


@pytest.mark.parametrize("body", [b'{"error":{}}', b"", b"[]", b'{"object":"list"}'])
async def test_an_answer_that_is_no_response_stays_as_it_is(body: bytes) -> None:
    assert await answered(body) == body
    assert await answered(b'{"object":"response"}', status=429) == b'{"object":"response"}'
