"""A client that leaves, in its own way, ends the upstream call with it."""

import asyncio
import time

import pytest

from tests.clients.driven import Client, Driver, Drivers, Task
from tests.clients.matrix import CHAT, CLIENTS
from tests.clients.places import Place, Scripted
from tests.support.upstream import Stall, Step, Stream, chat_chunks, event

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]

WITHIN_S = 0.1
AFTER = 3
"""Chunks that the client has read when it leaves; some read on while they do."""
PATIENCE_S = 0.5
"""Of a client that waits for an answer, until it leaves."""

LEAVING = [(client, call) for client in CLIENTS for call in sorted(client.calls) if call.startswith("leave")]


@pytest.mark.parametrize(
    ("client", "call"), [pytest.param(client, call, id=f"{client.name}-{call}") for client, call in LEAVING]
)
async def test_the_upstream_call_ends_with_its_client(
    client: Client, call: str, drivers: Drivers, scripted: Scripted
) -> None:
    """Within 100 ms, beyond what the client itself takes to leave."""
    driver = await drivers.of(client)
    read, direct_s = await leave(driver, call, scripted, scripted.direct)
    read_through, through_s = await leave(driver, call, scripted, scripted.gateway)
    assert min(read, read_through) >= (AFTER if "stream" in call else 0)
    assert through_s - max(0.0, direct_s) < WITHIN_S


async def leave(driver: Driver, call: str, scripted: Scripted, place: Place) -> tuple[int, float]:
    """How much the client had read when it left, and how many seconds later the upstream saw its caller leave."""
    scripted.play(_script(call))
    patience_s = 15 if "stream" in call else PATIENCE_S
    task = Task(call, place.base_url, place.key, CHAT, {}, after=AFTER, timeout_s=patience_s)
    playing = asyncio.create_task(driver.play(task))
    seen = await scripted.first()
    async with asyncio.timeout(15):
        await seen.gone.wait()
    gone_at = time.time()
    played = await playing
    assert played.raised is None, played
    (left,) = played.parts
    return left["read"], gone_at - left["left_at"]


def _script(call: str) -> Step:
    """Six words and then silence, or silence from the start."""
    if "stream" not in call:
        return Stall()
    words = ("One", " two", " three", " four", " five", " six")
    if "responses" in call:
        return Stream([*(_delta(number, word) for number, word in enumerate(words)), asyncio.Event()])
    return Stream.of(*chat_chunks(*words)[:-1], asyncio.Event(), done=False)


def _delta(number: int, word: str) -> bytes:
    kind = "response.output_text.delta"
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": number, "logprobs": []}
    return b"event: %s\n%s" % (kind.encode(), event({"type": kind, "delta": word, **place}))
