"""One configuration, running: everything a process needs is built here, and closed in reverse."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gateway.accounting.cost import waste_nanousd
from gateway.accounting.ledger import Ledger
from gateway.accounting.opinions import Opinions
from gateway.accounting.prices import PriceTable
from gateway.accounting.spent import spent_since
from gateway.admission.admit import Admission
from gateway.admission.memory import MemoryAdmissionStore
from gateway.admission.stores import AdmissionStore, RedisAdmissionStore
from gateway.auth.identify import Identifier, is_unlisted
from gateway.auth.issued import IssuedKeys
from gateway.auth.rights import Callers
from gateway.cache.lookup import Cache
from gateway.cache.purge import pattern
from gateway.cache.semantic import SemanticIndex
from gateway.cache.shared import SharedStore
from gateway.catalog import Catalog
from gateway.clock import Clock
from gateway.config.load import Loaded
from gateway.config.model import Config
from gateway.config.process import Server
from gateway.errors import BadRequest, ConfigError, DatabaseUnavailable, StoreUnavailable
from gateway.explain import Explainer
from gateway.lasting import Lasting
from gateway.learning import Learning
from gateway.passthrough import Passthrough
from gateway.pipeline import Pipeline
from gateway.prompt_check import PromptChecker
from gateway.prompts.registry import Registry
from gateway.record import Record
from gateway.routing.labels import Labels
from gateway.routing.match import RouteTable
from gateway.routing.router import Router
from gateway.sql import Database, NoTable
from gateway.steps.books import Books
from gateway.steps.forward import Forwarder
from gateway.steps.kept import Kept
from gateway.steps.own_calls import OwnCalls
from gateway.steps.prompt_shadows import KIND as SHADOW_CALLS
from gateway.steps.prompt_shadows import SPENT as SHADOWS_SPENT
from gateway.steps.prompt_shadows import Means as ShadowMeans
from gateway.steps.prompt_shadows import PromptShadows
from gateway.steps.prompted import Prompted
from gateway.steps.semantic import KIND as SEMANTIC_CALLS
from gateway.steps.semantic import Semantic
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracer
from gateway.tokens.encodings import DEFAULT, Encodings, encoding_name
from gateway.tokens.watch import Wasted, WasteWatch
from gateway.upstream.call import Upstreams
from gateway.upstream.client import UpstreamClient
from gateway.upstream.standing import breakers_open, upstreams_standing
from gateway.values import NANO
from gateway.wire.reader import Reader

if TYPE_CHECKING:
    from gateway.kv import Kv


log = logging.getLogger(__name__)

_MB = 1 << 20
_RECALL_START_S = 2.0
"""How long a start waits for what was spent before; it goes on being asked for after that."""
_RECALL_PAUSE_S = 5.0
_STORE_START_S = 1.0
"""How long a start waits for the store; without it the gateway goes on and says so in `gateway_store_up`."""


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
    async with Lasting(encodings or _encodings(server), log=server.log, log_fd=log_fd, clock=clock) as lasting:
        yield lasting


@asynccontextmanager
async def running_gateway(loaded: Loaded, lasting: Lasting) -> AsyncIterator[Gateway]:
    """Everything built and started for `loaded`; raises ConfigError for a classifier or CA file that cannot be used."""
    config, clock, metrics = loaded.config, lasting.clock, lasting.metrics
    async with AsyncExitStack() as stack:
        warm = asyncio.gather(*map(lasting.encodings.load, encodings_for(config)))
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
                partial(_stores, config, clock, metrics),
            )
        )
        admission = await stack.enter_async_context(Admission(config, admission_store, clock))

        def report(wasted: Wasted) -> None:
            nanousd = waste_nanousd(wasted.tokens, prices.rates(wasted.target))
            metrics.observe_waste(wasted.route, wasted.tokens, nanousd)

        waste = await stack.enter_async_context(WasteWatch(lasting.counter, report))

        ledger = await _ledger(config, lasting, admission, stack)

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
        issued = await _issued_keys(config, callers, clock, admission, stack)
        if config.store == "memory":
            await stack.enter_async_context(_recalling(config, admission))
        identifier = Identifier(config, callers, issued)
        prompts = await _prompts(config, lasting, stack)
        routes = RouteTable(config.routes)
        upstreams = Upstreams(clients)
        router = Router(config, loaded.folder, is_up=upstreams.health.is_up)
        labels = await _labels(config, clock, stack)
        opinions = await _opinions(config, lasting, stack)
        learning = await stack.enter_async_context(
            Learning(config, router, labels, identifier, upstreams, prices, clock, observe, opinions=opinions)
        )

        prompted = Prompted(Reader(config.server.max_json_nodes), lasting.counter, prompts)

        def observe_shadow(record: Record) -> None:
            observe(record)
            shadows.observe(record)

        shadows = await _prompt_shadows(
            config,
            ShadowMeans(
                prompted=prompted,
                reader=Reader(config.server.max_json_nodes),
                routes=routes,
                router=router,
                counter=lasting.counter,
                prices=prices,
                upstreams=config.upstreams,
                calls=OwnCalls(SHADOW_CALLS, upstreams, prices, clock, observe_shadow),
            ),
            clock,
            stack,
        )
        own_calls = OwnCalls(SEMANTIC_CALLS, upstreams, prices, clock, observe)
        semantic = await _semantic(config, lasting, cache, own_calls, stack)

        def come_into_force() -> None:
            if lasting.health is not None:
                upstreams.health.adopt(lasting.health)
            lasting.health = upstreams.health
            if admission.breaker is not None and lasting.cost_breaker is not None:
                admission.breaker.adopt(lasting.cost_breaker)
            lasting.cost_breaker = admission.breaker
            metrics.label = prices.label
            _read_at_scrape(metrics, loaded, upstreams, clock, kv, admission)
            _read_of_database(metrics, ledger, issued, prompts)
            _read_of_router(metrics, router, learning, labels)
            metrics.gauge("gateway_prompt_feedback_dropped_total", lambda: {(): opinions.dropped if opinions else 0})
            metrics.gauge("gateway_prompt_shadows_total", lambda: dict(shadows.results))
            _read_of_semantic(metrics, semantic)

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
                "status": partial(_status, loaded.hash, clock, lasting.started_at),
                "upstreams": partial(_upstreams, upstreams, clock),
                "keys.refresh": partial(_refresh_keys, issued),
                "prompts.check": PromptChecker(lasting.counter, prices).answer,
                "prompts.refresh": partial(_refresh_prompts, prompts),
                "budgets": partial(_budgets, admission),
                "route.explain": Explainer(config.routes, router, lasting.counter, prices).explain,
                "cache.stats": partial(_cache_stats, cache, metrics, semantic),
                "cache.purge": partial(_purge, cache, config, issued),
                "cache.reopen": partial(_reopen, semantic),
            },
            come_into_force=come_into_force,
            use=Use(),
        )


async def _status(config_hash: str, clock: Clock, started_at: float, _: Mapping[str, Any]) -> dict[str, Any]:
    """Of this process: the hash of its configuration, and seconds since it started."""
    return {"pid": os.getpid(), "config": config_hash, "uptime_s": round(clock.wall() - started_at, 1)}


async def _cache_stats(
    cache: Cache, metrics: Metrics, semantic: Semantic | None, _: Mapping[str, Any]
) -> dict[str, Any]:
    found = {"pid": os.getpid(), **cache.stats(), "routes": metrics.cache_figures()}
    return found if semantic is None else {**found, "semantic": semantic.stats()}


async def _reopen(semantic: Semantic | None, asked: Mapping[str, Any]) -> bool:
    """Put the semantic cache of a `route` on trial again; BadRequest where it has none."""
    routes = () if semantic is None else semantic.routes
    if semantic is None or asked["route"] not in routes:
        there = ", ".join(routes) or "none"
        raise BadRequest(f"No route '{asked['route']}' has a semantic cache; there are: {there}.", param="route")
    semantic.reopen(asked["route"])
    return True


async def _purge(cache: Cache, config: Config, issued: IssuedKeys | None, asked: Mapping[str, Any]) -> bool:
    """Of a `route`, of the sharing scope of a `key` or `team`, or of both; of all without any of these.

    BadRequest for a name that nobody has, so that a slip of the pen is told.
    """
    known = {"route": [route.name for route in config.routes], "team": [team.name for team in config.teams]}
    for kind, names in known.items():
        if kind in asked and asked[kind] not in names:
            there = ", ".join(names) or "none"
            raise BadRequest(f"No {kind} is called '{asked[kind]}'; there are: {there}.", param=kind)
    if "key" in asked and not await _may_be_called(asked["key"], config, issued):
        there = ", ".join(key.name for key in config.keys) or "none"
        raise BadRequest(
            f"No key is called '{asked['key']}'; the configuration has: {there}; `gateway keys list` shows others.",
            param="key",
        )
    scope = next((f"{kind}:{asked[kind]}" for kind in ("key", "team") if kind in asked), None)
    await cache.purge(pattern(asked.get("route"), scope))
    return True


async def _may_be_called(name: str, config: Config, issued: IssuedKeys | None) -> bool:
    """Whether some caller has this name, revoked ones included; also while that cannot be looked up."""
    if any(key.name == name for key in config.keys) or is_unlisted(name, config.auth):
        return True
    return issued is not None and (not await _refresh_keys(issued, {}) or issued.has(name))


async def _upstreams(upstreams: Upstreams, clock: Clock, _: Mapping[str, Any]) -> dict[str, Any]:
    standing = upstreams_standing(upstreams.clients, upstreams.health, clock.monotonic())
    return {"pid": os.getpid(), "upstreams": standing}


async def _issued_keys(
    config: Config, callers: Callers, clock: Clock, admission: Admission, stack: AsyncExitStack
) -> IssuedKeys | None:
    """A connection of its own: a revocation must not wait behind the ledger's writes."""
    if config.ledger == "none":
        return None
    database = await stack.enter_async_context(Database(config.ledger, only_read=True))
    return await stack.enter_async_context(IssuedKeys(database, callers, clock, admission.know))


@asynccontextmanager
async def _recalling(config: Config, admission: Admission) -> AsyncIterator[None]:
    """Budgets that are kept in memory go on from what the ledger says was spent: at once, or when that can be read."""
    if config.ledger == "none" or not admission.has_budgets:
        yield
        return
    async with Database(config.ledger, only_read=True) as database:
        task = asyncio.create_task(_recall(database, admission), name="recall what was spent")
        await asyncio.wait((task,), timeout=_RECALL_START_S)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))


async def _recall(database: Database, admission: Admission) -> None:
    while database.is_made:  # else nothing was ever spent
        try:
            await admission.recall(partial(spent_since, database))
            return
        except NoTable:
            return
        except DatabaseUnavailable as error:
            log.warning("budgets: what was spent before cannot be read yet: %s", error)
            await asyncio.sleep(_RECALL_PAUSE_S)


async def _labels(config: Config, clock: Clock, stack: AsyncExitStack) -> Labels | None:
    """What the classifier learns from, over a connection of its own: the ledger's writes come first."""
    if config.ledger == "none":
        return None
    database = await stack.enter_async_context(Database(config.ledger))
    return await stack.enter_async_context(Labels(database, clock, retention_days=config.ledger_retention_days))


async def _opinions(config: Config, lasting: Lasting, stack: AsyncExitStack) -> Opinions | None:
    """A reload goes on with those that wait to be looked up."""
    if config.ledger == "none":
        return None

    @asynccontextmanager
    async def opened() -> AsyncIterator[Opinions]:
        tell = lasting.metrics.prompts.observe_feedback
        async with Database(config.ledger) as database, Opinions(database, lasting.clock, tell) as opinions:
            yield opinions

    return await stack.enter_async_context(lasting.shared(("opinions", config.ledger), opened))


def _read_of_router(metrics: Metrics, router: Router, learning: Learning, labels: Labels | None) -> None:
    metrics.gauge("gateway_router_threshold", router.thresholds)
    metrics.gauge("gateway_router_drift", router.drift)
    metrics.gauge("gateway_router_brier", router.brier)
    metrics.gauge("gateway_router_bias", router.bias)
    metrics.gauge("gateway_router_shadows_total", lambda: dict(learning.shadows))
    metrics.gauge("gateway_feedback_total", lambda: dict(learning.feedbacks))
    metrics.gauge("gateway_router_labels_dropped_total", lambda: {(): labels.dropped if labels else 0})


async def _refresh_keys(issued: IssuedKeys | None, _: Mapping[str, Any]) -> bool:
    """Know of changed keys now, and not only at the next look; whether that could be done."""
    try:
        if issued is not None:
            await issued.refresh()
    except DatabaseUnavailable:
        return False
    return issued is not None


async def _prompts(config: Config, lasting: Lasting, stack: AsyncExitStack) -> Registry | None:
    """Over a connection of its own, like the keys. A reload goes on with what is known already."""
    if config.ledger == "none":
        return None

    @asynccontextmanager
    async def opened() -> AsyncIterator[Registry]:
        async with Database(config.ledger, only_read=True) as database, Registry(database, lasting.clock) as registry:
            yield registry

    return await stack.enter_async_context(lasting.shared(("prompts", config.ledger), opened))


async def _prompt_shadows(config: Config, means: ShadowMeans, clock: Clock, stack: AsyncExitStack) -> PromptShadows:
    """What they have cost today is asked over a connection of its own: the ledger's writes come first."""
    database = None
    if config.ledger != "none":
        database = await stack.enter_async_context(Database(config.ledger, only_read=True))

    async def ask_spent(prompt: str, since_ms: int) -> int:
        assert database is not None, "without a ledger there are no prompts"
        [(spent,)] = await database.fetch(SHADOWS_SPENT, since_ms, prompt)
        return int(spent)

    return await stack.enter_async_context(PromptShadows(means, clock, ask_spent))


async def _refresh_prompts(prompts: Registry | None, _: Mapping[str, Any]) -> bool:
    """Know of changed prompts now, and not only at the next look; whether that could be done."""
    try:
        if prompts is not None:
            await prompts.refresh()
    except DatabaseUnavailable:
        return False
    return prompts is not None


async def _budgets(admission: Admission, _: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Where every budget stands; None while the store is away."""
    try:
        return await admission.budgets()
    except StoreUnavailable:
        return None


def encodings_for(config: Config) -> set[str]:
    """The default one, and those of the models that the configuration names.

    Building one holds the interpreter for a tenth of a second, so it is done before there are requests. A model that
    only a client names, of an older kind than the default is for, costs the first request for it that much.
    """
    of_tiers = (target.model for tier in config.tiers for target in config.targets(tier))
    of_routes = (model for route in config.routes if route.upstream is not None for model in route.match.models)
    return {DEFAULT, *map(encoding_name, of_tiers), *map(encoding_name, of_routes)}


def _encodings(server: Server) -> Encodings:
    is_fast = server.encoder == "toktok"
    if is_fast and find_spec("toktok") is None:
        raise ConfigError(["server.encoder: toktok is not installed: pip install 'llm-gateway[fast]', or use tiktoken"])
    return Encodings(is_fast=is_fast)


async def _ledger(config: Config, lasting: Lasting, admission: Admission, stack: AsyncExitStack) -> Ledger | None:
    """Started, and by itself getting to its database: nobody waits for that. A reload goes on with the same one."""
    if config.ledger == "none":
        return None
    days = config.ledger_retention_days

    @asynccontextmanager
    async def opened() -> AsyncIterator[Ledger]:
        async with Database(config.ledger) as database, Ledger(database, lasting.clock, retention_days=days) as ledger:
            yield ledger

    ledger = await stack.enter_async_context(lasting.shared(("ledger", config.ledger, days), opened))
    ledger.lost = lambda: (admission.lost.grants, admission.lost.nanousd)
    return ledger


@asynccontextmanager
async def _stores(
    config: Config, clock: Clock, metrics: Metrics
) -> "AsyncIterator[tuple[Cache, AdmissionStore, Kv | None]]":
    local_bytes = int(config.cache.memory_mb * _MB)
    if config.store == "memory":
        async with Cache(clock, local_bytes=local_bytes) as cache:
            _read_of_cache(metrics, cache)
            yield cache, MemoryAdmissionStore(clock), None
        return
    from gateway.cluster import client_of

    async with client_of(config.store, timeout_s=config.store_timeout_s, clock=clock) as kv:
        await kv.wait_until_up(_STORE_START_S)  # else the first requests would miss what is there
        metrics.gauge("gateway_store_errors_total", lambda: {(op,): n for op, n in kv.errors.items()})
        async with Cache(clock, local_bytes=local_bytes, shared=SharedStore(kv, clock)) as cache:
            _read_of_cache(metrics, cache)
            yield cache, RedisAdmissionStore(kv), kv


async def _semantic(
    config: Config, lasting: Lasting, cache: Cache, calls: OwnCalls, stack: AsyncExitStack
) -> Semantic | None:
    """None where no route has one. Its index goes on over a reload that leaves the `cache` section as it was."""
    embeddings = config.cache.embeddings
    if embeddings is None or not any(route.cache and route.cache.semantic for route in config.routes):
        return None

    @asynccontextmanager
    async def indexed() -> AsyncIterator[SemanticIndex]:
        index = await asyncio.to_thread(SemanticIndex, int(embeddings.memory_mb * _MB), cache.tell)  # loads numpy
        cache.on_news.append(index.hear)
        try:
            yield index
        finally:
            cache.on_news.remove(index.hear)

    key = ("semantic", config.store, config.store_timeout_s, config.cache)
    index = await stack.enter_async_context(lasting.shared(key, indexed))
    return await stack.enter_async_context(Semantic(config, index, cache, calls, lasting.clock))


def _read_of_semantic(metrics: Metrics, semantic: Semantic | None) -> None:
    metrics.gauge("gateway_semantic_lookups_total", lambda: dict(semantic.lookups) if semantic else {})
    metrics.gauge("gateway_semantic_checks_total", lambda: dict(semantic.checks) if semantic else {})
    metrics.gauge("gateway_semantic_wrong_ratio", lambda: semantic.ratios() if semantic else {})
    metrics.gauge("gateway_semantic_state", lambda: semantic.states() if semantic else {})
    metrics.gauge("gateway_semantic_vectors", lambda: {(): semantic.stats()["vectors"]} if semantic else {})
    metrics.gauge("gateway_semantic_bytes", lambda: {(): semantic.stats()["vector_bytes"]} if semantic else {})


def _read_of_cache(metrics: Metrics, cache: Cache) -> None:
    metrics.gauge("gateway_cache_entries", lambda: {(): cache.stats()["entries"]})
    metrics.gauge("gateway_cache_bytes", lambda: {(): cache.stats()["bytes"]})


def _read_of_database(
    metrics: Metrics, ledger: Ledger | None, issued: IssuedKeys | None, prompts: Registry | None
) -> None:
    metrics.gauge("gateway_ledger_up", lambda: {(): int(ledger.is_up)} if ledger is not None else {})
    metrics.gauge("gateway_ledger_queued_rows", lambda: {(): ledger.queued} if ledger is not None else {})
    metrics.gauge("gateway_ledger_dropped_total", lambda: {(): ledger.dropped} if ledger is not None else {})
    metrics.gauge("gateway_keys_age_seconds", lambda: {(): issued.age_s} if issued is not None else {})
    metrics.gauge("gateway_prompts", lambda: {(): len(prompts)} if prompts is not None else {})
    metrics.gauge("gateway_prompt_versions", lambda: {(): prompts.versions} if prompts is not None else {})
    metrics.gauge("gateway_prompts_age_seconds", lambda: {(): prompts.age_s} if prompts is not None else {})


def _read_at_scrape(
    metrics: Metrics,
    loaded: Loaded,
    upstreams: Upstreams,
    clock: Clock,
    kv: "Kv | None",
    admission: Admission,
) -> None:
    """What is a state and no event is read when Prometheus asks."""
    clients = upstreams.clients
    metrics.gauge("gateway_breaker_open", lambda: breakers_open(clients, upstreams.health, clock.monotonic()))
    metrics.gauge("gateway_config_info", lambda: {(loaded.hash,): 1})
    metrics.gauge("gateway_upstream_in_flight", lambda: {(name,): client.in_flight for name, client in clients.items()})
    metrics.gauge("gateway_store_up", lambda: {(): 1 if kv is None or kv.is_up else 0})
    metrics.gauge("gateway_budget_remaining_usd", admission.remaining_usd)
    metrics.gauge("gateway_unchecked_requests_total", lambda: {(what,): n for what, n in admission.unchecked.items()})
    breaker = admission.breaker
    metrics.gauge("gateway_cost_breaker_step", breaker.levels if breaker else dict)
    metrics.gauge("gateway_cost_breaker_steps_total", lambda: dict(breaker.taken) if breaker else {})
    metrics.gauge("gateway_lost_requests_total", lambda: {(): admission.lost.grants})
    metrics.gauge("gateway_lost_usd_total", lambda: {(): admission.lost.nanousd / NANO})
