import asyncio
import json

import pytest

from gateway.errors import BadRequest
from gateway.wire import reader as module
from gateway.wire.endpoints import ENDPOINTS
from gateway.wire.reader import Reader

CHAT, RESPONSES = (next(one for one in ENDPOINTS if one.name == name) for name in ("chat", "responses"))


def body(text: str) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], "input": text}).encode()


def test_a_body_that_comes_often_is_one_request() -> None:
    reader = Reader(1000)
    first, second, third = (reader.read(CHAT, body("hello")) for _ in range(3))
    assert first == second
    assert first is not second
    assert second is third


def test_the_same_body_is_another_request_to_another_endpoint() -> None:
    reader = Reader(1000)
    for _ in range(3):
        assert reader.read(CHAT, body("hello")).endpoint == "chat"
        assert reader.read(RESPONSES, body("hello")).endpoint == "responses"


def test_what_is_wrong_is_wrong_every_time() -> None:
    reader = Reader(10)
    for _ in range(3):
        with pytest.raises(BadRequest, match="brackets, commas and colons"):
            reader.read(CHAT, body("," * 20))


async def test_a_large_body_is_read_in_steps_between_which_others_have_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    reader = Reader(1000)
    large = body("x" * (1 << 20))
    fields = await reader.fields_in_steps(large)
    request = await reader.read_in_steps(CHAT, large, fields)
    assert turns >= 4
    assert request == reader.read(CHAT, large)
    turns = 0
    assert await reader.read_made(CHAT, large) == request
    assert turns >= 4
    turns = 0
    await reader.step_after(large)
    assert turns >= 1
    task.cancel()
    twice = large[:-1] + b',"model":"m"}'
    with pytest.raises(BadRequest, match="more than once"):
        await reader.read_in_steps(CHAT, twice, await reader.fields_in_steps(twice))


def test_no_more_is_remembered_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", 1000)
    reader = Reader(1000)
    for n in range(100):
        for _ in range(2):
            reader.read(CHAT, body(f"number {n}"))
    assert 0 < sum(len(kept) for _, kept in reader._known) == reader._known_bytes <= 1000
    assert reader.read(CHAT, body("number 99")) is reader.read(CHAT, body("number 99"))


def test_of_bodies_that_come_once_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SEEN", 8)
    reader = Reader(1000)
    for n in range(100):
        reader.read(CHAT, body(f"number {n}"))
    assert not reader._known
    assert len(reader._seen) + len(reader._seen_before) <= 8
