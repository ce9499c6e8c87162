"""Whatever pieces a stream is written in, the client receives the same bytes."""

import json
import random
from itertools import pairwise

import pytest

from gateway.wire.endpoint import Endpoint
from gateway.wire.endpoints import ENDPOINTS
from tests.support.answers import LEAST, WHOLE
from tests.support.gateway import config, gateway
from tests.support.upstream import ScriptedUpstream, Stream


def writes(stream: bytes, seed: int) -> list[bytes]:
    """`stream` in pieces of chance, down to single bytes."""
    rng = random.Random(seed)
    places = sorted({0, len(stream), *rng.sample(range(len(stream)), rng.choice([1, 5, 50, 500]))})
    return [stream[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.name != "embeddings"], ids=lambda one: one.name)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=repr)
async def test_a_stream_passes_whatever_pieces_it_is_written_in(endpoint: Endpoint, line_end: bytes) -> None:
    body = json.dumps({**LEAST[endpoint.name], "stream": True, "stream_options": {"include_usage": True}}).encode()
    stream = b"".join(endpoint.to_stream(WHOLE[endpoint.name], include_usage=True)).replace(b"\n", line_end)
    steps = [Stream(writes(stream, seed)) for seed in range(12)]
    async with ScriptedUpstream(*steps) as up, gateway(config(up.base_url)) as gw:
        for _ in steps:
            answer = await gw.request("POST", f"/v1{endpoint.path}", body=body)
            assert answer.body == stream
        labels = {"route": "default", "endpoint": endpoint.name, "tier": "none", "model": "gpt-5-mini", "code": "200"}
        assert await gw.metric("gateway_requests_total", **labels) == len(steps)
