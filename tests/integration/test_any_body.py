"""Any JSON body survives: what can be served reaches the upstream byte for byte, the rest is a 400 that says why."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.wire.endpoints import ENDPOINTS
from tests.support.answers import LEAST
from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream

KEYS = ["content", "role", "type", "text", "name", "tools", "function", "parameters", "properties", "image_url", "url"]
KEYS += ["detail", "tool_calls", "arguments", "call_id", "output", "summary", "format", "schema", "enum", "items"]

texts = st.text(max_size=8) | st.sampled_from(["user", "system", "message", "function", "\ud83d", "\ude00", '"', "\\"])
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=4),
    max_leaves=12,
)
spellings = st.fixed_dictionaries(
    {"separators": st.sampled_from([(",", ":"), (" ,\n", "\t: ")]), "ensure_ascii": st.booleans()}
)


def spelled(fields: dict[str, Any], spelling: dict[str, Any]) -> bytes:
    """`fields` as JSON; where half characters make UTF-8 impossible, in ASCII after all."""
    try:
        return json.dumps(fields, **spelling).encode()
    except UnicodeEncodeError:
        return json.dumps(fields, **{**spelling, "ensure_ascii": True}).encode()


Post = Callable[[bytes], tuple[int, bytes]]


@contextmanager
def line_to(url: str, path: str) -> Iterator[Post]:
    """One connection to the gateway, blocking: hypothesis runs its examples in a thread."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=20)) as connection:

        def post(body: bytes) -> tuple[int, bytes]:
            connection.request("POST", path, body)
            response = connection.getresponse()
            return response.status, response.read()

        yield post


many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_fields_nobody_knows_reach_the_upstream_as_they_are_spelled(endpoint: Any) -> None:
    unknown = texts.map(lambda name: f"x{name}")
    async with ScriptedUpstream(then=Reply.of({})) as up, gateway(config(up.base_url)) as gw:
        with line_to(gw.url, f"/v1{endpoint.path}") as post:

            @many
            @given(st.dictionaries(unknown, json_values, max_size=4), spellings)
            def survives(extra: dict[str, Any], spelling: dict[str, Any]) -> None:
                body = spelled({**extra, **LEAST[endpoint.name], **extra}, spelling)
                assert post(body)[0] == 200
                assert up.requests[-1].body == body

            await asyncio.to_thread(survives)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_fields_we_read_are_served_or_refused_whatever_they_hold(endpoint: Any) -> None:
    """With everything turned on, so that every part of the way reads what it can."""
    tokens = {"max_completion": 50, "max_prompt": 40, "over_prompt": "drop_oldest", "trim": "all"}
    document = {
        "tiers": {"cheap": ["up/gpt-5-nano"], "expensive": ["up/gpt-5"]},
        "routes": [{"name": "default", "tier": "auto", "cache": {}, "tokens": tokens}],
        "budgets": [{"usd": 1000, "per": "day"}],
    }
    async with ScriptedUpstream(then=Reply.of({})) as up, gateway(config(up.base_url, **document)) as gw:
        with line_to(gw.url, f"/v1{endpoint.path}") as post:
            known = st.sampled_from([name for name in endpoint.read_fields if name != "model"])

            @many
            @given(st.dictionaries(known, json_values, max_size=3), spellings)
            def survives(given_: dict[str, Any], spelling: dict[str, Any]) -> None:
                body = spelled({**LEAST[endpoint.name], **given_}, spelling)
                before = len(up.requests)
                status, answer = post(body)
                assert status in (200, 400)
                if status == 400:
                    assert len(up.requests) == before
                    error = json.loads(answer)["error"]
                    assert error["message"]
                    assert error["param"] is not None
                else:
                    asked, sent = json.loads(body), json.loads(up.requests[-1].body)
                    changed = {name for name in asked | sent if sent.get(name, ...) != asked.get(name, ...)}
                    assert changed <= {"model", "stream_options", "messages", "input", *endpoint.completion_fields}

            await asyncio.to_thread(survives)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_any_model_name_is_only_a_name(endpoint: Any) -> None:
    async with ScriptedUpstream(then=Reply.of({})) as up, gateway(config(up.base_url)) as gw:
        with line_to(gw.url, f"/v1{endpoint.path}") as post:

            @many
            @given(texts | st.text(max_size=200))
            def survives(model: str) -> None:
                body = spelled({**LEAST[endpoint.name], "model": model}, {"ensure_ascii": False})
                assert post(body)[0] == 200
                assert up.requests[-1].body == body

            await asyncio.to_thread(survives)
