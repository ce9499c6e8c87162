"""One configuration, running: everything a process needs is built here, and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.accounting.cost import waste_nanousd
from gateway.accounting.prices import PriceTable
from gateway.admission.admit import Admission
from gateway.assembly import answers, opened, readings
from gateway.auth.identify import Identifier
from gateway.auth.rights import Callers
from gateway.catalog import Catalog
from gateway.clock import Clock
from gateway.config.load import Loaded
from gateway.config.model import Config
from gateway.config.process import Server
from gateway.explain import Explainer
from gateway.lasting import Lasting
from gateway.learning import Learning
from gateway.passthrough import Passthrough
from gateway.pipeline import Pipeline
from gateway.prompt_check import PromptChecker
from gateway.record import Record
from gateway.routing.match import RouteTable
from gateway.routing.router import Router
from gateway.steps.books import Books
from gateway.steps.forward import Forwarder
from gateway.steps.kept import Kept
from gateway.steps.own_calls import OwnCalls
from gateway.steps.prompt_shadows import KIND as SHADOW_CALLS
from gateway.steps.prompt_shadows import Means as ShadowMeans
from gateway.steps.prompted import Prompted
from gateway.steps.semantic import KIND as SEMANTIC_CALLS
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracer
from gateway.tokens.encodings import Encodings
from gateway.tokens.watch import Wasted, WasteWatch
from gateway.upstream.call import Upstreams
from gateway.upstream.client import UpstreamClient
from gateway.wire.reader import Reader

Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Arguments of an operator's question → the answer; JSON values both, for they may cross to another process."""


class Use:
    """How many requests a gateway is serving; one that was replaced is closed when there are none."""

    __slots__ = ("_idle", "count")

    def __init__(self) -> None:
        self.count = 0
        self._idle: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1
        if self._idle is not None and not self.count and not self._idle.done():
            self._idle.set_result(None)

    async def until_idle(self) -> None:
        if self.count:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the server needs to know: the ways of a request, and what there is to see of them."""

    config: Config
    pipeline: Pipeline
    passthrough: Passthrough
    catalog: Catalog
    learning: Learning
    metrics: Metrics
    clock: Clock
    answers: Mapping[str, Answer]
    """What operators may ask each process on the admin port, by name."""
    come_into_force: Callable[[], None]
    """To be called once, when it begins to serve in place of another."""
    use: Use
    """Every request is served within it."""


@asynccontextmanager
async def lasting_things(
    server: Server, *, log_fd: int = 2, encodings: Encodings | None = None, clock: Clock | None = None
) -> AsyncIterator[Lasting]:
    """What all gateways of this process have in common; raises ConfigError for an encoder that is not there.

    Access lines go to the file descriptor `log_fd`, 2 being stderr. `encodings` are worth sharing where a
    process has a simulator beside: 90 MB, 0.3 s. `clock` is for tests that cannot wait.
    """
    async with Lasting(encodings or opened.encodings(server), log=server.log, log_fd=log_fd, clock=clock) as lasting:
        yield lasting


@asynccontextmanager
async def running_gateway(loaded: Loaded, lasting: Lasting) -> AsyncIterator[Gateway]:
    """Everything built and started for `loaded`; raises ConfigError for a classifier or CA file that cannot be used."""
    config, clock, metrics = loaded.config, lasting.clock, lasting.metrics
    async with AsyncExitStack() as stack:
        warm = asyncio.gather(*map(lasting.encodings.load, opened.encodings_for(config)))
        prices = PriceTable.build(config.prices, at=datetime.now(UTC), limits=config.model_limits)
        following = asyncio.create_task(prices.follow(clock), name="follow the prices of the day")
        stack.callback(following.cancel)
        clients = {
            name: await stack.enter_async_context(
                lasting.shared(("upstream", name, upstream), partial(UpstreamClient, name, upstream))
            )
            for name, upstream in config.upstreams.items()
        }
        cache, admission_store, kv = await stack.enter_async_context(
            lasting.shared(
                ("store", config.store, config.store_timeout_s, config.cache.memory_mb),
                partial(opened.stores, config, clock, metrics),
            )
        )
        admission = await stack.enter_async_context(Admission(config, admission_store, clock))

        def report(wasted: Wasted) -> None:
            nanousd = waste_nanousd(wasted.tokens, prices.rates(wasted.target))
            metrics.observe_waste(wasted.route, wasted.tokens, nanousd)

        waste = await stack.enter_async_context(WasteWatch(lasting.counter, report))

        ledger = await opened.ledger(config, lasting, admission, stack)

        tracer = None
        if config.tracing.endpoint is not None:
            tracer = await stack.enter_async_context(Tracer(config, config.tracing))

        def observe(record: Record) -> None:
            metrics.observe(record)
            admission.observe(record)
            lasting.access_log.write(record)
            if ledger is not None:
                ledger.observe(record)
            if tracer is not None:
                tracer.observe(record)

        callers = Callers(config)
        issued = await opened.issued_keys(config, callers, clock, admission, stack)
        if config.store == "memory":
            await stack.enter_async_context(opened.recalling(config, admission))
        identifier = Identifier(config, callers, issued)
        prompts = await opened.prompts(config, lasting, stack)
        routes = RouteTable(config.routes)
        upstreams = Upstreams(clients)
        router = Router(config, loaded.folder, is_up=upstreams.health.is_up)
        labels = await opened.labels(config, clock, stack)
        opinions = await opened.opinions(config, lasting, stack)
        learning = await stack.enter_async_context(
            Learning(config, router, labels, identifier, upstreams, prices, clock, observe, opinions=opinions)
        )

        prompted = Prompted(Reader(config.server.max_json_nodes), lasting.counter, prompts)

        def observe_shadow(record: Record) -> None:
            observe(record)
            shadows.observe(record)

        shadows = await opened.prompt_shadows(
            config,
            ShadowMeans(
                prompted=prompted,
                reader=Reader(config.server.max_json_nodes),
                routes=routes,
                router=router,
                counter=lasting.counter,
                prices=prices,
                calls=OwnCalls(SHADOW_CALLS, upstreams, prices, clock, observe_shadow),
            ),
            clock,
            stack,
        )
        own_calls = OwnCalls(SEMANTIC_CALLS, upstreams, prices, clock, observe)
        semantic = await opened.semantic(config, lasting, cache, own_calls, stack)

        def come_into_force() -> None:
            if lasting.health is not None:
                upstreams.health.adopt(lasting.health)
            lasting.health = upstreams.health
            if admission.breaker is not None and lasting.cost_breaker is not None:
                admission.breaker.adopt(lasting.cost_breaker)
            lasting.cost_breaker = admission.breaker
            metrics.label = prices.label
            readings.of_gateway(metrics, loaded, upstreams, clock, kv, admission)
            readings.of_database(metrics, ledger, issued, prompts)
            readings.of_router(metrics, router, learning, labels)
            readings.of_prompts(metrics, opinions, shadows)
            readings.of_semantic(metrics, semantic)

        books = Books(lasting.counter, prices, config.unknown_price)
        kept = Kept(cache, admission, upstreams, clock, semantic, keeps_ledger=config.ledger != "none")
        pipeline = Pipeline(
            identifier=identifier,
            prompted=prompted,
            routes=routes,
            counter=lasting.counter,
            router=router,
            kept=kept,
            admission=admission,
            forwarder=Forwarder(upstreams, kept, books, admission, clock),
            books=books,
            lengths=lasting.lengths,
            waste=waste,
            learning=learning,
            shadows=shadows,
            clock=clock,
            observe=observe,
            begin_trace=None if tracer is None else tracer.begin,
        )
        await warm
        yield Gateway(
            config=config,
            pipeline=pipeline,
            passthrough=Passthrough(identifier, routes, upstreams, admission, prices, clock, observe),
            catalog=Catalog(identifier, routes, upstreams),
            learning=learning,
            metrics=metrics,
            clock=clock,
            answers={
                "status": partial(answers.status, loaded.hash, clock, lasting.started_at),
                "upstreams": partial(answers.upstreams, upstreams, clock),
                "keys.refresh": partial(answers.refresh_keys, issued),
                "prompts.check": PromptChecker(lasting.counter, prices).answer,
                "prompts.refresh": partial(answers.refresh_prompts, prompts),
                "budgets": partial(answers.budgets, admission),
                "route.explain": Explainer(config.routes, router, lasting.counter, prices).explain,
                "cache.stats": partial(answers.cache_stats, cache, metrics, semantic),
                "cache.purge": partial(answers.purge, cache, config, issued),
                "cache.reopen": partial(answers.reopen, semantic),
            },
            come_into_force=come_into_force,
            use=Use(),
        )
