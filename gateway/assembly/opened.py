"""The parts of a gateway that are opened and closed, each with what it asks of the configuration.

A part that the configuration has no use for is None. What a reload goes on with is shared (`lasting.py`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gateway.accounting.ledger import Ledger
from gateway.accounting.opinions import Opinions
from gateway.accounting.spent import spent_since
from gateway.admission.admit import Admission
from gateway.admission.memory import MemoryAdmissionStore
from gateway.admission.stores import AdmissionStore, RedisAdmissionStore
from gateway.assembly import readings
from gateway.auth.issued import IssuedKeys
from gateway.auth.rights import Callers
from gateway.cache.lookup import Cache
from gateway.cache.semantic import SemanticIndex
from gateway.cache.shared import SharedStore
from gateway.clock import Clock
from gateway.config.model import Config
from gateway.config.process import Server
from gateway.errors import ConfigError, DatabaseUnavailable
from gateway.lasting import Lasting
from gateway.prompts.registry import Registry
from gateway.routing.labels import Labels
from gateway.sql import Database, NoTable
from gateway.steps.own_calls import OwnCalls
from gateway.steps.prompt_shadows import SPENT as SHADOWS_SPENT
from gateway.steps.prompt_shadows import Means as ShadowMeans
from gateway.steps.prompt_shadows import PromptShadows
from gateway.steps.semantic import Semantic
from gateway.telemetry.metrics import Metrics
from gateway.tokens.encodings import DEFAULT, Encodings, encoding_name

if TYPE_CHECKING:
    from gateway.kv import Kv


log = logging.getLogger(__name__)

_MB = 1 << 20
_RECALL_START_S = 2.0
"""How long a start waits for what was spent before; it goes on being asked for after that."""
_RECALL_PAUSE_S = 5.0
_STORE_START_S = 1.0
"""How long a start waits for the store; without it the gateway goes on and says so in `gateway_store_up`."""


def encodings_for(config: Config) -> set[str]:
    """The default one, and those of the models that the configuration names.

    Building one holds the interpreter for a tenth of a second, so it is done before there are requests. A model that
    only a client names, of an older kind than the default is for, costs the first request for it that much.
    """
    of_tiers = (target.model for tier in config.tiers for target in config.targets(tier))
    of_routes = (model for route in config.routes if route.upstream is not None for model in route.match.models)
    return {DEFAULT, *map(encoding_name, of_tiers), *map(encoding_name, of_routes)}


def encodings(server: Server) -> Encodings:
    is_fast = server.encoder == "toktok"
    if is_fast and find_spec("toktok") is None:
        raise ConfigError(["server.encoder: toktok is not installed: pip install 'llm-gateway[fast]', or use tiktoken"])
    return Encodings(is_fast=is_fast)


@asynccontextmanager
async def stores(
    config: Config, clock: Clock, metrics: Metrics
) -> "AsyncIterator[tuple[Cache, AdmissionStore, Kv | None]]":
    local_bytes = int(config.cache.memory_mb * _MB)
    if config.store == "memory":
        async with Cache(clock, local_bytes=local_bytes) as cache:
            readings.of_cache(metrics, cache)
            yield cache, MemoryAdmissionStore(clock), None
        return
    from gateway.cluster import client_of

    async with client_of(config.store, timeout_s=config.store_timeout_s, clock=clock) as kv:
        await kv.wait_until_up(_STORE_START_S)  # else the first requests would miss what is there
        metrics.gauge("gateway_store_errors_total", lambda: {(op,): n for op, n in kv.errors.items()})
        async with Cache(clock, local_bytes=local_bytes, shared=SharedStore(kv, clock)) as cache:
            readings.of_cache(metrics, cache)
            yield cache, RedisAdmissionStore(kv), kv


async def ledger(config: Config, lasting: Lasting, admission: Admission, stack: AsyncExitStack) -> Ledger | None:
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


async def issued_keys(
    config: Config, callers: Callers, clock: Clock, admission: Admission, stack: AsyncExitStack
) -> IssuedKeys | None:
    """A connection of its own: a revocation must not wait behind the ledger's writes."""
    if config.ledger == "none":
        return None
    database = await stack.enter_async_context(Database(config.ledger, only_read=True))
    return await stack.enter_async_context(IssuedKeys(database, callers, clock, admission.know))


@asynccontextmanager
async def recalling(config: Config, admission: Admission) -> AsyncIterator[None]:
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


async def prompts(config: Config, lasting: Lasting, stack: AsyncExitStack) -> Registry | None:
    """Over a connection of its own, like the keys. A reload goes on with what is known already."""
    if config.ledger == "none":
        return None

    @asynccontextmanager
    async def opened() -> AsyncIterator[Registry]:
        async with Database(config.ledger, only_read=True) as database, Registry(database, lasting.clock) as registry:
            yield registry

    return await stack.enter_async_context(lasting.shared(("prompts", config.ledger), opened))


async def prompt_shadows(config: Config, means: ShadowMeans, clock: Clock, stack: AsyncExitStack) -> PromptShadows:
    """What they have cost today is asked over a connection of its own: the ledger's writes come first."""
    database = None
    if config.ledger != "none":
        database = await stack.enter_async_context(Database(config.ledger, only_read=True))

    async def ask_spent(prompt: str, since_ms: int) -> int:
        assert database is not None, "without a ledger there are no prompts"
        [(spent,)] = await database.fetch(SHADOWS_SPENT, since_ms, prompt)
        return int(spent)

    return await stack.enter_async_context(PromptShadows(means, clock, ask_spent))


async def labels(config: Config, clock: Clock, stack: AsyncExitStack) -> Labels | None:
    """What the classifier learns from, over a connection of its own: the ledger's writes come first."""
    if config.ledger == "none":
        return None
    database = await stack.enter_async_context(Database(config.ledger))
    return await stack.enter_async_context(Labels(database, clock, retention_days=config.ledger_retention_days))


async def opinions(config: Config, lasting: Lasting, stack: AsyncExitStack) -> Opinions | None:
    """A reload goes on with those that wait to be looked up."""
    if config.ledger == "none":
        return None

    @asynccontextmanager
    async def opened() -> AsyncIterator[Opinions]:
        tell = lasting.metrics.prompts.observe_feedback
        async with Database(config.ledger) as database, Opinions(database, lasting.clock, tell) as opinions:
            yield opinions

    return await stack.enter_async_context(lasting.shared(("opinions", config.ledger), opened))


async def semantic(
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
