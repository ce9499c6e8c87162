"""What the upstream is sent, with and without the gateway; and the endpoints that are only passed through."""

import re
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.clients.comparing import differences, has_failed, told
from tests.clients.driven import Client, Drivers
from tests.clients.matrix import CLIENTS, PAIRS, Scenario
from tests.clients.places import OWN_KEY, UPSTREAM_KEY, Place, before
from tests.support.gateway import gateway
from tests.support.upstream import Reply, ScriptedUpstream, Seen, Step, Stream

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]

ALL_BYTES = list(range(256)) * 300
FILE = {"id": "file-1", "object": "file", "bytes": 76800, "created_at": 1, "filename": "rows.jsonl", "purpose": "batch"}
FLAGGED = {"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": False, "categories": {}}]}

ANSWERS: dict[tuple[str, str], Step] = {
    ("POST", "/v1/files"): Reply.of(FILE),
    ("GET", "/v1/files"): Reply.of({"object": "list", "data": [FILE], "has_more": False}),
    ("GET", "/v1/files/file-1/content"): Reply(200, bytes(ALL_BYTES), [("Content-Type", "application/octet-stream")]),
    ("DELETE", "/v1/files/file-1"): Reply.of({"id": "file-1", "object": "file", "deleted": True}),
    ("POST", "/v1/audio/transcriptions"): Reply.of({"text": "Good morning, \u00e7a va?"}),
    ("POST", "/v1/audio/speech"): Stream([bytes(ALL_BYTES), b"\0", b"end"], headers=[("Content-Type", "audio/mpeg")]),
    ("POST", "/v1/moderations"): Reply.of(FLAGGED),
    ("POST", "/v1/images/generations"): Reply.of({"created": 1, "data": [{"b64_json": "AAAA"}]}),
}

PASSED_THROUGH = (
    Scenario("upload", "upload", {"content": ALL_BYTES}),
    Scenario("list", "files", {"purpose": "batch", "limit": 2}),
    Scenario("download", "download", {"file_id": "file-1"}),
    Scenario("delete", "delete", {"file_id": "file-1"}),
    Scenario("transcribe", "transcribe", {"model": "whisper-1", "content": ALL_BYTES}),
    Scenario("speak", "speak", {"model": "tts-1", "voice": "alloy", "input": "Good morning."}),
    Scenario("moderate", "moderate", {"model": "omni-moderation-latest", "input": ["a", "b"]}),
    Scenario("draw", "draw", {"model": "gpt-image-1", "prompt": "A bridge in fog"}),
)
UNCHANGED = [
    (client, scenario)
    for client, scenario in PAIRS
    if not scenario.fails and not scenario.headers and "stream" not in scenario.call and "events" not in scenario.call
]
"""Requests that need nothing from the gateway: of streams it asks for the usage."""

REPLACED = frozenset({"host", "connection", "content-length", "authorization", "accept-encoding"})
"""The connection's own, the key, and codings: answers have to be readable as they come."""


class Recorder:
    """An upstream that answers by path, refuses what it does not know, and keeps what it was sent."""

    def __init__(self, upstream: ScriptedUpstream, gateway_url: str) -> None:
        self.requests = upstream.requests
        self.direct = Place(upstream.base_url, UPSTREAM_KEY)
        self.gateway = Place(f"{gateway_url}/v1", OWN_KEY)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recorder() -> AsyncIterator[Recorder]:
    async with (
        ScriptedUpstream(then=_answer) as upstream,
        gateway(before(upstream.base_url)) as gw,
    ):
        yield Recorder(upstream, gw.url)


def _answer(seen: Seen) -> Step:
    refusal = {"message": "Not today.", "type": "invalid_request_error", "param": None, "code": None}
    return ANSWERS.get((seen.method, urlsplit(seen.path).path), Reply.of({"error": refusal}, 400))


def _ids(pairs: Iterable[tuple[Client, Scenario]]) -> list[Any]:
    return [pytest.param(c, s, id=f"{c.name}-{s.name.replace(' ', '_')}") for c, s in pairs]


@pytest.mark.parametrize(("client", "scenario"), _ids(UNCHANGED))
async def test_the_upstream_is_sent_what_the_client_sent(
    client: Client, scenario: Scenario, drivers: Drivers, recorder: Recorder
) -> None:
    driver = await drivers.of(client)
    sent: list[Seen] = []
    for place in (recorder.direct, recorder.gateway):
        recorder.requests.clear()
        await driver.play(place.task(scenario))
        sent += recorder.requests
    direct, through = sent
    assert through.body == direct.body
    assert (through.method, through.path) == (direct.method, direct.path)
    assert _end_to_end(through) == _end_to_end(direct)


@pytest.mark.parametrize(
    ("client", "scenario"), _ids((c, s) for c in CLIENTS for s in PASSED_THROUGH if s.call in c.calls)
)
async def test_other_endpoints_are_passed_through_as_they_are(
    client: Client, scenario: Scenario, drivers: Drivers, recorder: Recorder
) -> None:
    driver = await drivers.of(client)
    recorder.requests.clear()
    direct = await driver.play(recorder.direct.task(scenario))
    through = await driver.play(recorder.gateway.task(scenario))
    assert not has_failed(direct), direct
    assert differences(told(direct), told(through)) == []
    first, second = recorder.requests
    assert _without_boundary(second) == _without_boundary(first)
    assert (second.method, second.path) == (first.method, first.path)
    assert _end_to_end(second) == _end_to_end(first)


def _end_to_end(seen: Seen) -> dict[str, str]:
    boundary = _boundary(seen)
    return {
        name.lower(): value.replace(boundary, "") if boundary else value
        for name, value in seen.headers
        if name.lower() not in REPLACED
    }


def _boundary(seen: Seen) -> str:
    """Of a multipart body, chosen anew by the client for each; empty for other bodies."""
    found = re.search(r"boundary=([^;]+)", seen.header("content-type") or "")
    return found[1].strip('"') if found else ""


def _without_boundary(seen: Seen) -> bytes:
    boundary = _boundary(seen).encode()
    return seen.body.replace(boundary, b"") if boundary else seen.body
