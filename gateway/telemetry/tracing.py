"""OpenTelemetry: one span for a sampled request, and under it one for each step, made when the request is over.

    POST /v1/chat/completions            server      arrival to the end of the answer
    ├── prepare                          internal    who asks, count, cap, decide, look up, admit
    ├── chat gpt-5-mini                  client      the call as a whole, tries and all: gen_ai.* attributes
    │   ├── try openai/gpt-5-mini        client      one try
    │   └── try azure/gpt-5-mini         client
    └── relay                            internal    the first byte of a stream to its last

Everything is read off the finished `Record`; what is decided at its beginning is only whether there will be spans, and
their ids, since the upstream is told of them. So requests that are not sampled cost a random number, and none of it
exists without `tracing:`. Names are those of the GenAI conventions after their move to a repository of their own
(semantic-conventions-genai, November 2026), written out here because the package that has them calls itself unstable.
Names, numbers and words of closed sets, as in the ledger: never text.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Self
from urllib.parse import urlsplit

from gateway import __version__
from gateway.config.model import Config
from gateway.config.process import Tracing
from gateway.errors import ConfigError
from gateway.exchange import Headers
from gateway.record import Attempt, Record
from gateway.values import Trace, printable
from gateway.wire.trace import parent

log = logging.getLogger(__name__)

CLOSE_S = 3.0
"""How long a stopping process, or a reload, tries to send what is left; and the longest that one sending takes."""
_NS = 1_000_000_000
_OLD_NAMES = "gen_ai/dup"
"""In OTEL_SEMCONV_STABILITY_OPT_IN: the names of conventions up to 1.36 beside today's."""
_OPERATIONS = {"chat": "chat", "responses": "chat", "completions": "text_completion", "embeddings": "embeddings"}
_PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
_HOSTS = {"openai.com": "openai", "openai.azure.com": "azure.ai.openai", "mistral.ai": "mistral_ai", "x.ai": "x_ai"}
"""Whose API a host is, in the conventions' words; of others the upstream's name stands for it."""

Attributes = dict[str, Any]


class Tracer:
    """An async context manager. Raises ConfigError where the extra is not installed."""

    def __init__(self, config: Config, tracing: Tracing) -> None:
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
            raise ConfigError(["tracing: OpenTelemetry is not installed: pip install 'llm-gateway[otel]'"])
        self._tracing = tracing
        self._servers = {name: urlsplit(upstream.base_url) for name, upstream in config.upstreams.items()}
        self._has_old_names = _OLD_NAMES in os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
        self._random = random.Random()  # noqa: S311  (ids have to differ, not to be secret)
        self._make: Callable[..., Any] | None = None
        self._exporter: Any = None
        self._processor: Any = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._load)  # half a second, in which requests are served
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what is left and end the thread: neither takes a time limit of the SDK, so it is kept here."""
        flush = asyncio.create_task(asyncio.to_thread(self._processor.force_flush))
        await asyncio.wait((flush,), timeout=CLOSE_S)
        if not flush.done():
            log.warning("tracing: the collector did not take the last spans")
            self._exporter.shutdown()  # what is being sent ends within CLOSE_S, what is queued at once
        end = asyncio.create_task(asyncio.to_thread(self._processor.shutdown))
        await asyncio.wait((flush, end), timeout=CLOSE_S)

    def _load(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        headers = {name: value.get_secret_value() for name, value in self._tracing.headers.items()}
        self._exporter = OTLPSpanExporter(endpoint=self._tracing.endpoint, headers=headers, timeout=CLOSE_S)
        self._processor = BatchSpanProcessor(self._exporter, schedule_delay_millis=self._tracing.every_s * 1000)
        self._make = _maker(self._tracing.service_name)

    # ------------------------------------------------------------------ at the beginning

    def begin(self, headers: Headers) -> Trace | None:
        """Where the request's spans will stand; None where it is not sampled: most of the time."""
        given = parent(headers)
        if given is not None:
            if not given.is_sampled:
                return None
            return Trace(given.trace_id, self._id(64), self._id(64), parent_id=given.span_id, state=given.state)
        if self._random.random() >= self._tracing.sample:
            return None
        return Trace(self._id(128), self._id(64), self._id(64))

    def _id(self, bits: int) -> int:
        return self._random.getrandbits(bits) or 1

    # ------------------------------------------------------------------ at the end

    def observe(self, record: Record) -> None:
        """Queue the spans of a finished request that is sampled; another thread sends them. Some 40 µs."""
        if record.trace is None or self._make is None:
            return
        for span in _spans(record, record.trace, self._call_attributes(record), self._id):
            self._processor.on_end(self._make(record.trace.trace_id, *span))

    def _call_attributes(self, record: Record) -> Attributes:
        """The gen_ai attributes of the call, under today's names, and under the old ones where they are wanted."""
        target = record.target or (record.attempts[-1].target if record.attempts else None)
        if target is None:
            return {}
        usage, server = record.usage, self._servers.get(target.upstream)
        host = server.hostname or "" if server else ""
        provider = next((word for end, word in _HOSTS.items() if f".{host}".endswith(f".{end}")), target.upstream)
        found: Attributes = {
            "gen_ai.operation.name": _OPERATIONS.get(record.endpoint, record.endpoint),
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": printable(target.model),
            "server.address": host,
        }
        if server is not None:
            found["server.port"] = server.port or (443 if server.scheme == "https" else 80)
        if record.is_stream:
            found["gen_ai.request.stream"] = True
        if record.finish_reason:
            found["gen_ai.response.finish_reasons"] = (printable(record.finish_reason),)
        if usage is not None:
            found |= {
                "gen_ai.usage.input_tokens": usage.input,
                "gen_ai.usage.output_tokens": usage.output,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_input,
                "gen_ai.usage.cache_creation.input_tokens": usage.cache_write,
                "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
            }
        if self._has_old_names:
            found["gen_ai.system"] = provider
            if usage is not None:
                found["gen_ai.usage.prompt_tokens"] = usage.input
                found["gen_ai.usage.completion_tokens"] = usage.output
        return found


# ------------------------------------------------------------------ record → spans

Span = tuple[str, str, int, int | None, float, float, Attributes, str | None, str]
"""Name, kind, id, parent, begin and end (Unix seconds), attributes, what went wrong, tracestate."""


def _spans(record: Record, trace: Trace, call: Attributes, new_id: Callable[[int], int]) -> list[Span]:
    begin, end = record.started_at, record.started_at + record.duration_s
    error = record.error or (str(record.status) if record.status >= 500 else None)
    name = f"POST {_PATHS.get(record.endpoint, record.endpoint)}"
    spans: list[Span] = [
        (name, "SERVER", trace.span_id, trace.parent_id, begin, end, _request_attributes(record), error, trace.state)
    ]

    def step(name: str, kind: str, own: int, above: int, since: float, until: float, **more: Any) -> None:
        attributes, wrong = more.get("attributes", {}), more.get("wrong")
        spans.append((name, kind, own, above, since, max(since, until), attributes, wrong, trace.state))

    tries = [attempt for attempt in record.attempts if attempt.began_s]
    first_byte = None if record.first_byte_s is None else begin + record.first_byte_s
    if not tries:
        step("prepare", "INTERNAL", new_id(64), trace.span_id, begin, first_byte or end)
        return spans
    called = begin + tries[0].began_s - record.started_s
    step("prepare", "INTERNAL", new_id(64), trace.span_id, begin, called)
    if first_byte is not None and record.is_stream:
        call = {**call, "gen_ai.response.time_to_first_chunk": max(0.0, first_byte - called)}
        step("relay", "INTERNAL", new_id(64), trace.span_id, first_byte, end)
    ended = end if record.is_stream else begin + tries[-1].began_s - record.started_s + tries[-1].duration_s
    wrong = None if tries[-1].outcome == "ok" and error is None else error or tries[-1].outcome
    what = f"{call.get('gen_ai.operation.name', record.endpoint)} {call.get('gen_ai.request.model', '')}".strip()
    step(what, "CLIENT", trace.call_id, trace.span_id, called, ended, attributes=call, wrong=wrong)
    for attempt in tries:
        since = begin + attempt.began_s - record.started_s
        more = _try_attributes(attempt)
        failed = None if attempt.outcome == "ok" else attempt.outcome
        until = since + attempt.duration_s
        name = f"try {attempt.target.printable}"
        step(name, "CLIENT", new_id(64), trace.call_id, since, until, attributes=more, wrong=failed)
    return spans


def _request_attributes(record: Record) -> Attributes:
    decision, caller = record.decision, record.caller
    found = {
        "http.request.method": "POST",
        "url.path": _PATHS.get(record.endpoint, record.endpoint),
        "http.response.status_code": record.status,
        "gateway.request_id": record.request_id,
        "gateway.key": caller.name if caller else None,
        "gateway.team": caller.team if caller else None,
        "gateway.route": record.route,
        "gateway.tier": decision.tier if decision else None,
        "gateway.reason": decision.reason if decision else None,
        "gateway.target": record.target.printable if record.target else None,
        "gateway.cache": record.cache,
        "gateway.rejected": record.rejected,
        "gateway.prompt_tokens": record.estimate.prompt_tokens if record.estimate else None,
        "gateway.cost_nanousd": record.cost.nanousd if record.cost else None,
        "gateway.saved_nanousd": sum(record.saved_nanousd.values()) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _try_attributes(attempt: Attempt) -> Attributes:
    return {"gateway.target": attempt.target.printable, "gateway.outcome": attempt.outcome}


def _maker(service_name: str) -> Callable[..., Any]:
    """Makes the SDK's spans of ours; loads it."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

    resource = Resource.create({"service.name": service_name, "service.version": __version__})
    scope = InstrumentationScope("llm-gateway", __version__)
    sampled = TraceFlags(TraceFlags.SAMPLED)

    def make(
        trace_id: int,
        name: str,
        kind: str,
        own: int,
        above: int | None,
        begin: float,
        end: float,
        attributes: Mapping[str, Any],
        error: str | None,
        state: str,
    ) -> Any:
        states = TraceState.from_header([state])
        if error is not None:
            attributes = {**attributes, "error.type": error}
        return ReadableSpan(
            name,
            context=SpanContext(trace_id, own, is_remote=False, trace_flags=sampled, trace_state=states),
            parent=None if above is None else SpanContext(trace_id, above, is_remote=False, trace_flags=sampled),
            resource=resource,
            attributes=attributes,
            kind=SpanKind[kind],
            instrumentation_scope=scope,
            status=Status(StatusCode.ERROR if error is not None else StatusCode.UNSET),
            start_time=int(begin * _NS),
            end_time=int(end * _NS),
        )

    return make
