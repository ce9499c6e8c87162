"""What is a state and no event: read when Prometheus asks."""

from typing import TYPE_CHECKING

from gateway.accounting.ledger import Ledger
from gateway.accounting.opinions import Opinions
from gateway.admission.admit import Admission
from gateway.auth.issued import IssuedKeys
from gateway.cache.lookup import Cache
from gateway.clock import Clock
from gateway.config.load import Loaded
from gateway.learning import Learning
from gateway.prompts.registry import Registry
from gateway.routing.labels import Labels
from gateway.routing.router import Router
from gateway.steps.prompt_shadows import PromptShadows
from gateway.steps.semantic import Semantic
from gateway.telemetry.metrics import Metrics
from gateway.upstream.call import Upstreams
from gateway.upstream.standing import breakers_open
from gateway.values import NANO

if TYPE_CHECKING:
    from gateway.kv import Kv


def of_gateway(
    metrics: Metrics,
    loaded: Loaded,
    upstreams: Upstreams,
    clock: Clock,
    kv: "Kv | None",
    admission: Admission,
) -> None:
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


def of_database(metrics: Metrics, ledger: Ledger | None, issued: IssuedKeys | None, prompts: Registry | None) -> None:
    metrics.gauge("gateway_ledger_up", lambda: {(): int(ledger.is_up)} if ledger is not None else {})
    metrics.gauge("gateway_ledger_queued_rows", lambda: {(): ledger.queued} if ledger is not None else {})
    metrics.gauge("gateway_ledger_dropped_total", lambda: {(): ledger.dropped} if ledger is not None else {})
    metrics.gauge("gateway_keys_age_seconds", lambda: {(): issued.age_s} if issued is not None else {})
    metrics.gauge("gateway_prompts", lambda: {(): len(prompts)} if prompts is not None else {})
    metrics.gauge("gateway_prompt_versions", lambda: {(): prompts.versions} if prompts is not None else {})
    metrics.gauge("gateway_prompts_age_seconds", lambda: {(): prompts.age_s} if prompts is not None else {})


def of_router(metrics: Metrics, router: Router, learning: Learning, labels: Labels | None) -> None:
    metrics.gauge("gateway_router_threshold", router.thresholds)
    metrics.gauge("gateway_router_drift", router.drift)
    metrics.gauge("gateway_router_brier", router.brier)
    metrics.gauge("gateway_router_bias", router.bias)
    metrics.gauge("gateway_router_shadows_total", lambda: dict(learning.shadows))
    metrics.gauge("gateway_feedback_total", lambda: dict(learning.feedbacks))
    metrics.gauge("gateway_router_labels_dropped_total", lambda: {(): labels.dropped if labels else 0})


def of_prompts(metrics: Metrics, opinions: Opinions | None, shadows: PromptShadows) -> None:
    metrics.gauge("gateway_prompt_feedback_dropped_total", lambda: {(): opinions.dropped if opinions else 0})
    metrics.gauge("gateway_prompt_shadows_total", lambda: dict(shadows.results))


def of_semantic(metrics: Metrics, semantic: Semantic | None) -> None:
    metrics.gauge("gateway_semantic_lookups_total", lambda: dict(semantic.lookups) if semantic else {})
    metrics.gauge("gateway_semantic_checks_total", lambda: dict(semantic.checks) if semantic else {})
    metrics.gauge("gateway_semantic_wrong_ratio", lambda: semantic.ratios() if semantic else {})
    metrics.gauge("gateway_semantic_state", lambda: semantic.states() if semantic else {})
    metrics.gauge("gateway_semantic_vectors", lambda: {(): semantic.stats()["vectors"]} if semantic else {})
    metrics.gauge("gateway_semantic_bytes", lambda: {(): semantic.stats()["vector_bytes"]} if semantic else {})


def of_cache(metrics: Metrics, cache: Cache) -> None:
    metrics.gauge("gateway_cache_entries", lambda: {(): cache.stats()["entries"]})
    metrics.gauge("gateway_cache_bytes", lambda: {(): cache.stats()["bytes"]})
