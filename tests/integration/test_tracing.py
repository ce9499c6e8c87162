"""Spans as a collector receives them: OTLP over HTTP, decoded with OpenTelemetry's own messages."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.record import Attempt, Record
from gateway.telemetry import tracing as tracing_module
from gateway.telemetry.tracing import Tracer
from gateway.values import Target, Trace, Usage
from tests.support.config import SMALL, read
from tests.support.gateway import RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, usage

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
PROMPT = "canary prompt: the merger is on Friday"
HELLO = Reply.of(chat_body("Hello.", usage=usage(8, 2)))


class Collector:
    """Keeps every span that arrives."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.raw += body
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(attributes(group.resource.attributes))
            self.spans += [span for scope in group.scope_spans for span in scope.spans]
        return web.Response()

    async def until(self, count: int) -> dict[str, Any]:
        """Name → span, once there are `count`."""
        async with asyncio.timeout(10):
            while not await self._has(count):
                pass
        return {span.name: span for span in self.spans}

    async def _has(self, count: int) -> bool:
        await asyncio.sleep(0.02)
        return len(self.spans) >= count


def attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return found


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    found = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    try:
        yield found
    finally:
        await runner.cleanup()


@asynccontextmanager
async def traced(found: Collector, upstream: ScriptedUpstream, **settings: Any) -> AsyncIterator[RunningGateway]:
    tracing = {"endpoint": found.url, "every_s": 0.05, "headers": {"x-collector-key": "secret"}, **settings}
    async with gateway(config(upstream.base_url, tracing=tracing)) as gw:
        yield gw


async def test_a_request_is_a_trace_of_its_steps_below_the_clients_span() -> None:
    steps = [Reply.of({"error": {"message": "no"}}, 500), HELLO]
    async with collector() as found, ScriptedUpstream(*steps) as upstream, traced(found, upstream) as gw:
        answer = await gw.chat(headers=SAMPLED, messages=[{"role": "user", "content": PROMPT}])
        assert answer.status == 200
        spans = await found.until(5)
        sent = upstream.requests[-1]
    request, call, prepare = spans["POST /v1/chat/completions"], spans["chat gpt-5-mini"], spans["prepare"]
    assert {span.trace_id.hex() for span in found.spans} == {TRACE}
    assert request.parent_span_id.hex() == PARENT
    assert call.parent_span_id == prepare.parent_span_id == request.span_id
    tries = [span for span in found.spans if span.name == "try up/gpt-5-mini"]
    assert [span.parent_span_id for span in tries] == [call.span_id] * 2
    assert [attributes(span.attributes).get("error.type") for span in tries] == ["status_5xx", None]
    assert sent.header("traceparent") == f"00-{TRACE}-{call.span_id.hex()}-01"
    assert sent.header("tracestate") == "vendor=1"

    told = attributes(call.attributes)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "up"
    assert told["gen_ai.request.model"] == "gpt-5-mini"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (8, 2)
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert "gen_ai.system" not in told
    told = attributes(request.attributes)
    assert (told["http.response.status_code"], told["gateway.route"]) == (200, "default")
    assert told["gateway.request_id"] == answer.headers["x-request-id"]
    assert request.start_time_unix_nano <= prepare.start_time_unix_nano <= call.start_time_unix_nano
    assert call.end_time_unix_nano <= request.end_time_unix_nano
    assert found.resources[0]["service.name"] == "llm-gateway"
    assert found.headers[0]["x-collector-key"] == "secret"
    assert b"canary" not in found.raw
    assert b"merger" not in found.raw


async def test_a_stream_has_its_relay_and_the_time_to_its_first_chunk() -> None:
    stream = Stream.of(*chat_chunks("Hel", "lo", usage=usage(8, 2)))
    async with collector() as found, ScriptedUpstream(stream) as upstream, traced(found, upstream) as gw:
        await gw.chat(headers=SAMPLED, stream=True)
        spans = await found.until(5)
    assert set(spans) == {"POST /v1/chat/completions", "prepare", "chat gpt-5-mini", "try up/gpt-5-mini", "relay"}
    told = attributes(spans["chat gpt-5-mini"].attributes)
    assert told["gen_ai.request.stream"] is True
    assert told["gen_ai.response.time_to_first_chunk"] > 0


async def test_what_the_client_does_not_sample_is_left_alone() -> None:
    unsampled = f"00-{TRACE}-{PARENT}-00"
    async with (
        collector() as found,
        ScriptedUpstream(HELLO, HELLO) as upstream,
        traced(found, upstream, sample=1.0) as gw,
    ):
        await gw.chat(headers={"traceparent": unsampled})
        assert upstream.requests[0].header("traceparent") == unsampled
        await gw.chat()
        spans = await found.until(4)
    assert spans["POST /v1/chat/completions"].trace_id.hex() != TRACE
    assert spans["POST /v1/chat/completions"].parent_span_id == b""
    assert len(found.spans) == 4


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-x",
        f"00-{TRACE}-{PARENT}",
    ],
)
async def test_a_trace_that_is_none_begins_a_new_one(given: str) -> None:
    async with collector() as found, ScriptedUpstream(HELLO) as upstream, traced(found, upstream, sample=1.0) as gw:
        assert (await gw.chat(headers={"traceparent": given})).status == 200
        spans = await found.until(4)
    assert spans["POST /v1/chat/completions"].trace_id.hex() != TRACE


async def test_a_refusal_is_a_trace_as_well() -> None:
    async with collector() as found, ScriptedUpstream() as upstream, traced(found, upstream) as gw:
        assert (await gw.chat(headers=SAMPLED, messages="no")).status == 400
        spans = await found.until(2)
    assert attributes(spans["POST /v1/chat/completions"].attributes)["http.response.status_code"] == 400


async def test_no_client_takes_away_the_spans_of_others(caplog: pytest.LogCaptureFixture) -> None:
    hostile = ["gpt-5\ud800", "gpt-5\0", "g" * 5_000]
    async with (
        collector() as found,
        ScriptedUpstream(then=HELLO) as upstream,
        traced(found, upstream, sample=1.0, every_s=60) as gw,
    ):
        for model in hostile:
            await gw.chat(model=model)
        await gw.chat()
    named = {span.name for span in found.spans}
    assert {"try up/gpt-5-mini", "try up/gpt-5?", f"chat {'g' * 256}"} <= named
    assert "encode" not in caplog.text


@pytest.mark.parametrize("state", ["canary", "a=1,a=2", "A=canary", "a=1;é", ",".join(f"k{n}=1" for n in range(33))])
async def test_a_tracestate_that_is_none_is_dropped_in_silence(state: str, caplog: pytest.LogCaptureFixture) -> None:
    async with collector() as found, ScriptedUpstream(HELLO) as upstream, traced(found, upstream) as gw:
        await gw.chat(headers={**SAMPLED, "tracestate": state})
        spans = await found.until(4)
        assert upstream.requests[0].header("tracestate") is None
    assert spans["POST /v1/chat/completions"].trace_state == ""
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


async def test_whoever_has_no_key_is_not_traced() -> None:
    async with collector() as found, ScriptedUpstream(HELLO) as upstream:
        tracing = {"endpoint": found.url, "every_s": 60}
        keys = [{"name": "bot", "key": "bots-secret"}]
        async with gateway(config(upstream.base_url, tracing=tracing, auth="required", keys=keys)) as gw:
            assert (await gw.chat(headers=SAMPLED)).status == 401
            assert (await gw.chat(key="bots-secret", headers=SAMPLED)).status == 200
    statuses = [attributes(span.attributes).get("http.response.status_code") for span in found.spans]
    assert sorted(filter(None, statuses)) == [200]


async def test_the_last_spans_arrive_and_reloads_leave_no_threads(caplog: pytest.LogCaptureFixture) -> None:
    async with collector() as found, ScriptedUpstream(HELLO, HELLO) as upstream:
        document = config(upstream.base_url, tracing={"endpoint": found.url, "every_s": 60, "sample": 1.0})
        async with gateway(document) as gw:
            await gw.chat()
            for turn in range(3):
                await gw.reload({**document, "tracing": {**document["tracing"], "service_name": f"turn-{turn}"}})
            await found.until(4)  # those of before the reloads, long before their minute is over
            async with asyncio.timeout(10):
                while await _senders() > 1:
                    pass
            await gw.chat()
        assert len(found.spans) == 8
    assert await _senders() == 0
    assert [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def _senders() -> int:
    await asyncio.sleep(0.02)
    return sum("Otel" in thread.name for thread in threading.enumerate())


async def test_a_collector_that_is_away_costs_nobody_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_module, "CLOSE_S", 0.3)
    tracing = {"endpoint": "http://127.0.0.1:1/v1/traces", "every_s": 0.05, "sample": 1.0}
    async with ScriptedUpstream(HELLO, HELLO) as upstream, gateway(config(upstream.base_url, tracing=tracing)) as gw:
        assert (await gw.chat()).status == 200
        assert (await gw.chat()).status == 200


async def test_without_an_endpoint_nothing_is_sampled() -> None:
    async with ScriptedUpstream(HELLO) as upstream, gateway(config(upstream.base_url)) as gw:
        assert gw.live.gateway.pipeline.begin_trace is None
        await gw.chat(headers=SAMPLED)
        assert upstream.requests[0].header("traceparent") == SAMPLED["traceparent"]


def test_old_names_stand_beside_todays_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,gen_ai/dup")
    document = read(SMALL).config
    record = Record("r", "chat", 0.0, 0.0, trace=Trace(1, 2, 3), usage=Usage(8, 2))
    record.attempts = [Attempt(Target("openai", "gpt-5"), "ok", 1.0)]
    told = Tracer(document, document.tracing)._call_attributes(record)
    assert (told["gen_ai.provider.name"], told["gen_ai.system"]) == ("openai", "openai")
    assert (told["gen_ai.usage.prompt_tokens"], told["gen_ai.usage.completion_tokens"]) == (8, 2)
    assert (told["server.address"], told["server.port"]) == ("api.openai.com", 443)
