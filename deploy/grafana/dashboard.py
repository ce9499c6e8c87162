"""The dashboard as code: prints `dashboards/gateway.json`, which Grafana reads.

    python deploy/grafana/dashboard.py > deploy/grafana/dashboards/gateway.json

A panel is a title, a unit, what it means, and its queries with their legends. Money comes first: whoever opens this is
asked what it costs. Tests run every query against a real Prometheus that scrapes a real gateway.
"""

import json
import sys
from dataclasses import dataclass
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "$datasource"}
R = 'route=~"$route"'
"""Metrics without a model are narrowed by route alone, the others by both."""
RM = f'{R}, model=~"$model"'
M = 'model=~"$model"'
WINDOW = "[$__rate_interval]"
COLUMNS = 24
SEVERAL = 'or label_replace(vector(0), "{label}", "none", "", "")'
"""What does not happen has no series; a panel says 0 rather than nothing."""


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    unit: str
    """Grafana's id of it."""
    meaning: str
    queries: tuple[tuple[str, str], ...]
    """PromQL and legend."""
    kind: str = "timeseries"
    width: int = 8
    is_stacked: bool = False
    most: float | None = None
    """Upper end of the axis."""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, labels: str = R, by: str = "route") -> str:
    grouping = f" by ({by}) " if by else ""
    return f"sum{grouping}(rate({metric}{{{labels}}}{WINDOW}))"


def rare(metric: str, labels: str, by: str) -> str:
    """As `rate`, for what may never have happened."""
    return f"{rate(metric, labels, by)} {SEVERAL.format(label=by)}"


def ratio(above: str, below: str) -> str:
    return f"{above} / ({below} > 0)"


def mean(histogram: str, labels: str = R, by: str = "route") -> str:
    return ratio(rate(f"{histogram}_sum", labels, by), rate(f"{histogram}_count", labels, by))


def quantile(q: float, histogram: str, labels: str = R, by: str = "route") -> str:
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', labels, f'le, {by}' if by else 'le')})"


COST, SAVED, REQUESTS = "gateway_cost_usd_total", "gateway_saved_usd_total", "gateway_requests_total"
SPENT_IN_RANGE = f"sum(increase({COST}{{{RM}}}[$__range]))"
SAVED_IN_RANGE = f"(sum(increase({SAVED}{{{R}}}[$__range])) or vector(0))"
PAID = 'type=~"input|cached_input|output"'

MONEY = Row(
    "Money",
    (
        Panel(
            "Spend rate",
            "currencyUSD",
            "Dollars an hour, at the pace of this moment.",
            ((f"{rate(COST, RM, '')} * 3600", "an hour"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Spent",
            "currencyUSD",
            "In the time range above. Prometheus extrapolates to its ends; the ledger has the exact sum.",
            ((SPENT_IN_RANGE, "spent"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Saved",
            "currencyUSD",
            "By cache, shared calls, the cheap tier and trimming, in the time range above.",
            ((SAVED_IN_RANGE, "saved"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Share saved",
            "percentunit",
            "Saved over what all of it would have cost.",
            ((f"{SAVED_IN_RANGE} / ({SAVED_IN_RANGE} + {SPENT_IN_RANGE} > 0)", "share"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Spend by route",
            "currencyUSD",
            "Dollars an hour.",
            ((f"{rate(COST, RM)} * 3600", "{{route}}"),),
            is_stacked=True,
        ),
        Panel(
            "Cost per answer",
            "currencyUSD",
            "Dollars spent over answers given, those of the cache included. GatewayCostPerRequestShift watches it.",
            ((ratio(rate(COST, RM), rate(REQUESTS, f'{R}, code=~"2.."')), "{{route}}"),),
        ),
        Panel(
            "Saved by reason",
            "currencyUSD",
            "Dollars an hour that were not spent.",
            ((f"{rate(SAVED, R, 'reason')} * 3600", "{{reason}}"),),
            is_stacked=True,
        ),
        Panel(
            "Spend by model",
            "currencyUSD",
            "Dollars an hour.",
            ((f"{rate(COST, RM, 'model')} * 3600", "{{model}}"),),
            is_stacked=True,
        ),
        Panel(
            "Wasted",
            "currencyUSD",
            "Dollars an hour for prompt tokens that say nothing; `gateway waste` finds them.",
            ((f"{rare('gateway_wasted_usd_total', R, 'kind')} * 3600", "{{kind}}"),),
            is_stacked=True,
        ),
        Panel(
            "Where the dollars come from",
            "currencyUSD",
            "Reported by the upstream, computed from its usage, or estimated from our count. Calls without a known"
            " price are in none of them.",
            (
                (f"{rate(COST, RM, 'source')} * 3600", "{{source}}"),
                (f"{rate('gateway_price_unknown_total', M, '')} or vector(0)", "calls/s without a price"),
            ),
        ),
    ),
)
TRAFFIC = Row(
    "Traffic",
    (
        Panel("Requests", "reqps", "By route.", ((rate(REQUESTS, RM), "{{route}}"),), is_stacked=True),
        Panel(
            "Status",
            "reqps",
            "As the client was sent it; 499: it left first.",
            ((rate(REQUESTS, RM, "code"), "{{code}}"),),
        ),
        Panel(
            "Refused by the gateway",
            "reqps",
            "Its own refusals: keys, limits, budgets, prompts that are too long.",
            ((rare("gateway_rejected_total", R, "reason"), "{{reason}}"),),
        ),
    ),
)
TOKENS = Row(
    "Tokens",
    (
        Panel(
            "Tokens paid for",
            "short",
            "A second, by type: input that the upstream had not cached, input that it had, output.",
            ((rate("gateway_tokens_total", f"{RM}, {PAID}", "type"), "{{type}}"),),
            is_stacked=True,
        ),
        Panel(
            "Prompt length",
            "short",
            "Tokens of a request, mean and 95th percentile.",
            (
                (mean("gateway_prompt_tokens"), "{{route}}"),
                (quantile(0.95, "gateway_prompt_tokens"), "{{route}} p95"),
            ),
        ),
        Panel(
            "Completion length",
            "short",
            "Tokens of an answer that an upstream gave, mean and 95th percentile.",
            (
                (mean("gateway_completion_tokens"), "{{route}}"),
                (quantile(0.95, "gateway_completion_tokens"), "{{route}} p95"),
            ),
        ),
        Panel(
            "Counted over reported",
            "percentunit",
            "The gateway's count of prompts over the upstream's report: 100% is exact.",
            ((mean("gateway_token_count_error_ratio", M, "model"), "{{model}}"),),
        ),
        Panel(
            "Wasted tokens",
            "short",
            "A second, by kind.",
            ((rare("gateway_wasted_tokens_total", R, "kind"), "{{kind}}"),),
            is_stacked=True,
        ),
        Panel(
            "Prompts out of line",
            "short",
            "A second: far longer than the route's usual ones, near the end of the context window, or shortened.",
            (
                (f"{rate('gateway_prompt_length_anomalies_total', R, '')} or vector(0)", "unusually long"),
                (f"{rate('gateway_context_window_near_total', RM, '')} or vector(0)", "near the context window's end"),
                (f"{rate('gateway_dropped_messages_total', R, '')} or vector(0)", "messages dropped"),
            ),
        ),
    ),
)
TIERS = Row(
    "Tiers",
    (
        Panel(
            "Decisions",
            "reqps",
            "Which tier requests were meant for, hits included.",
            ((rate("gateway_router_decisions_total", R, "tier"), "{{tier}}"),),
            is_stacked=True,
        ),
        Panel(
            "Share to the expensive tier",
            "percentunit",
            "Of those with a choice. GatewayTierSplitShift watches it.",
            (
                (
                    ratio(
                        rate("gateway_router_decisions_total", f'{R}, tier="expensive"'),
                        rate("gateway_router_decisions_total", f'{R}, tier=~"cheap|expensive"'),
                    ),
                    "{{route}}",
                ),
            ),
            most=1,
        ),
        Panel(
            "Reasons",
            "reqps",
            "On which ground it was decided; docs/metrics.md explains each.",
            ((rate("gateway_router_decisions_total", R, "reason"), "{{reason}}"),),
        ),
        Panel(
            "Probability",
            "percentunit",
            "The classifier's, that the expensive tier is needed: quartiles. A shift means that the questions changed.",
            (
                (quantile(0.25, "gateway_router_probability", R, ""), "lower quarter"),
                (quantile(0.5, "gateway_router_probability", R, ""), "median"),
                (quantile(0.75, "gateway_router_probability", R, ""), "upper quarter"),
            ),
            most=1,
        ),
    ),
)
LEARNING = Row(
    "Learning",
    (
        Panel(
            "Threshold",
            "percentunit",
            "The probability from which a request goes up.",
            ((f"max by (route) (gateway_router_threshold{{{R}}})", "{{route}}"),),
            most=1,
        ),
        Panel(
            "Drift",
            "short",
            "Of what is asked against what the classifier was trained on; over 0.25 it is another kind of traffic.",
            ((f"max by (route, measure) (gateway_router_drift{{{R}}})", "{{route}} {{measure}}"),),
        ),
        Panel(
            "Belief and outcome",
            "short",
            "Mean squared error of the probabilities by shadow calls, and by how much the cheap tier does worse than"
            " believed. Nothing before 50 labels.",
            (
                (f"max by (route) (gateway_router_brier{{{R}}})", "{{route}} error"),
                (f"max by (route) (gateway_router_bias{{{R}}})", "{{route}} bias"),
            ),
        ),
        Panel(
            "Shadow calls",
            "ops",
            "Answers that were compared with the other tier's, by what came of it.",
            ((rare("gateway_router_shadows_total", R, "result"), "{{result}}"),),
        ),
        Panel(
            "Feedback",
            "ops",
            "What clients thought of answers.",
            ((rare("gateway_feedback_total", "", "opinion"), "{{opinion}}"),),
        ),
    ),
)
V = "prompt, version"
NAMED = "{{prompt}}@{{version}}"
"""Legend of what is shown by prompt and version."""
OPINIONS = "gateway_prompt_version_feedback_total"


def by_version(query: str) -> str:
    """`query`, or `none` where no prompt was asked for."""
    return f"{query} {SEVERAL.format(label='prompt')}"


def opinions(which: str) -> str:
    return f'sum by ({V}) (increase({OPINIONS}{{opinion=~"{which}"}}[1d]))'


PROMPTS = Row(
    "Prompts",
    (
        Panel(
            "Requests by version",
            "reqps",
            "Made from a version of a registered prompt: a split as it falls.",
            ((by_version(rate("gateway_prompt_version_requests_total", "", V)), NAMED),),
            is_stacked=True,
        ),
        Panel(
            "Dollars per request",
            "currencyUSD",
            "Of each version, hits included.",
            (
                (
                    by_version(
                        ratio(
                            rate("gateway_prompt_version_cost_usd_total", "", V),
                            rate("gateway_prompt_version_requests_total", "", V),
                        )
                    ),
                    NAMED,
                ),
            ),
        ),
        Panel(
            "Tokens by version",
            "short",
            "Paid for, a second.",
            (
                (
                    by_version(rate("gateway_prompt_version_tokens_total", "", f"{V}, type")),
                    f"{NAMED} {{{{type}}}}",
                ),
            ),
        ),
        Panel(
            "Duration by version",
            "s",
            "From arrival to the end of the answer: the 95th percentile.",
            ((by_version(quantile(0.95, "gateway_prompt_version_duration_seconds", "", V)), NAMED),),
        ),
        Panel(
            "How answers end",
            "reqps",
            "Length, refusals and failures beside the ordinary end; and what a prompt's own policy warns of.",
            (
                (
                    by_version(rate("gateway_prompt_version_requests_total", "", f"{V}, result")),
                    f"{NAMED} {{{{result}}}}",
                ),
                (
                    by_version(rate("gateway_prompt_version_warnings_total", "", f"{V}, warning")),
                    f"{NAMED} {{{{warning}}}}",
                ),
            ),
        ),
        Panel(
            "Thumbs down",
            "percentunit",
            "Share of the opinions on a version's answers in the last day; and how many could not be tied to one.",
            (
                (by_version(ratio(opinions("down"), opinions("up|down"))), NAMED),
                ("sum(increase(gateway_prompt_feedback_dropped_total[1d]))", "not tied"),
            ),
            most=1,
        ),
        Panel(
            "Shadow versions",
            "ops",
            "Requests that a shadow version of their prompt was to answer too, by what came of it.",
            ((rare("gateway_prompt_shadows_total", "", "result"), "{{result}}"),),
        ),
        Panel(
            "Prompts and versions",
            "short",
            "What can be rendered; the same everywhere, or an instance does not hear of changes.",
            (
                ("max by (instance) (gateway_prompts)", "{{instance}} prompts"),
                ("max by (instance) (gateway_prompt_versions)", "{{instance}} versions"),
            ),
        ),
        Panel(
            "Age of prompts",
            "s",
            "Since the database last confirmed them.",
            (("max by (instance) (gateway_prompts_age_seconds)", "{{instance}}"),),
        ),
    ),
)
CACHE = Row(
    "Cache",
    (
        Panel(
            "Results",
            "reqps",
            "Of requests on routes with a cache.",
            ((rate("gateway_cache_requests_total", R, "result"), "{{result}}"),),
            is_stacked=True,
        ),
        Panel(
            "Hit ratio",
            "percentunit",
            "Hits, fresh or not, and answers shared by identical requests, over all.",
            (
                (
                    ratio(
                        rate("gateway_cache_requests_total", f'{R}, result=~"hit|semantic|coalesced|stale"'),
                        rate("gateway_cache_requests_total"),
                    ),
                    "{{route}}",
                ),
            ),
            most=1,
        ),
        Panel(
            "Semantic: misses",
            "ops",
            "What became of misses on routes with a semantic cache. check: found, and asked all the same to compare.",
            ((rare("gateway_semantic_lookups_total", R, "result"), "{{result}}"),),
        ),
        Panel(
            "Semantic: wrong answers",
            "percentunit",
            "Share of the latest comparisons whose answers differ, with its 95% interval; and the state: 0 on trial,"
            " 1 open, 2 closed.",
            (
                (f"max by (route, bound) (gateway_semantic_wrong_ratio{{{R}}})", "{{route}} {{bound}}"),
                (f"max by (route) (gateway_semantic_state{{{R}}})", "{{route}} state"),
            ),
        ),
        Panel(
            "Semantic: comparisons and vectors",
            "short",
            "Answers compared a second, what the vector of a question is waited for, and the index in memory.",
            (
                (rare("gateway_semantic_checks_total", R, "result"), "{{result}}"),
                (
                    f"histogram_quantile(0.99, {rate('gateway_semantic_embedding_seconds_bucket', R, 'le')})",
                    "p99 seconds",
                ),
                ("sum(gateway_semantic_vectors) or vector(0)", "vectors"),
                ("sum(gateway_semantic_bytes) or vector(0)", "bytes"),
            ),
        ),
        Panel(
            "Kept in memory",
            "bytes",
            "What answers kept by the processes themselves take, with `store: memory`; Redis tells its own.",
            (
                ("sum(gateway_cache_bytes) or vector(0)", "bytes"),
                ("sum(gateway_cache_entries) or vector(0)", "entries"),
            ),
        ),
    ),
)
LATENCY = Row(
    "Latency",
    (
        Panel(
            "Requests",
            "s",
            "From arrival to the end of the answer.",
            (
                (quantile(0.5, "gateway_request_duration_seconds"), "{{route}} p50"),
                (quantile(0.99, "gateway_request_duration_seconds"), "{{route}} p99"),
            ),
        ),
        Panel(
            "Time to first token",
            "s",
            "Of streams that an upstream answered.",
            (
                (quantile(0.5, "gateway_time_to_first_token_seconds", RM, "model"), "{{model}} p50"),
                (quantile(0.95, "gateway_time_to_first_token_seconds", RM, "model"), "{{model}} p95"),
            ),
        ),
        Panel(
            "Added by the gateway",
            "s",
            "Until the first byte of an answer, less the time spent waiting for upstreams.",
            (
                (quantile(0.5, "gateway_overhead_seconds", R, ""), "p50"),
                (quantile(0.99, "gateway_overhead_seconds", R, ""), "p99"),
            ),
        ),
    ),
)
UPSTREAMS = Row(
    "Upstreams",
    (
        Panel(
            "Tries",
            "reqps",
            "By outcome; more than one a request where calls are tried again.",
            ((rate("gateway_upstream_attempts_total", "", "upstream, outcome"), "{{upstream}} {{outcome}}"),),
        ),
        Panel(
            "Streams taken up",
            "reqps",
            "Chat streams that broke off on routes with `on_cut`, by what came of them.",
            ((rare("gateway_resumed_streams_total", R, "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Under way",
            "short",
            "Calls at this moment.",
            (("sum by (upstream) (gateway_upstream_in_flight)", "{{upstream}}"),),
        ),
        Panel(
            "Held off",
            "short",
            "Targets whose breaker is open: they failed too often.",
            (("max by (upstream) (gateway_breaker_open)", "{{upstream}}"),),
        ),
    ),
)
LIMITS = Row(
    "Limits and stores",
    (
        Panel(
            "Dollars left",
            "currencyUSD",
            "Of budgets, in their present period.",
            (("min by (scope) (gateway_budget_remaining_usd)", "{{scope}}"),),
        ),
        Panel(
            "Cost breaker",
            "short",
            "0 normal, 1 cheap tier, 2 lower cap, 3 cache only, 4 refused.",
            (("max by (scope) (gateway_cost_breaker_step)", "{{scope}}"),),
            most=4,
        ),
        Panel(
            "In flight",
            "short",
            "Requests being served; what autoscaling goes by.",
            (("sum by (instance) (gateway_in_flight_requests)", "{{instance}}"),),
        ),
        Panel(
            "Stores",
            "short",
            "1 while the store, and the ledger's database, answered last.",
            (
                ("min by (instance) (gateway_store_up)", "store {{instance}}"),
                ("min by (instance) (gateway_ledger_up)", "ledger {{instance}}"),
            ),
            most=1,
        ),
        Panel(
            "Store errors",
            "short",
            "Commands a second that failed or came too late; requests that passed unchecked meanwhile.",
            (
                (rare("gateway_store_errors_total", "", "op"), "{{op}}"),
                (rare("gateway_unchecked_requests_total", "", "what"), "unchecked {{what}}"),
            ),
        ),
        Panel(
            "Ledger queue",
            "short",
            "Rows that wait to be written, and rows a second that were dropped.",
            (
                ("sum by (instance) (gateway_ledger_queued_rows)", "{{instance}}"),
                ("sum(rate(gateway_ledger_dropped_total[$__rate_interval]))", "dropped/s"),
                (f"{rate('gateway_router_labels_dropped_total', '', '')} or vector(0)", "labels dropped/s"),
            ),
        ),
    ),
)
PROCESS = Row(
    "Processes",
    (
        Panel(
            "Versions and configurations",
            "short",
            "Instances of each; more than one line for long is a rollout that got stuck.",
            (
                ("count by (version) (gateway_build_info)", "version {{version}}"),
                ("count by (hash) (gateway_config_info)", "configuration {{hash}}"),
            ),
        ),
        Panel(
            "Reloads",
            "short",
            "Configurations read anew in the last hour.",
            (
                (
                    f"sum by (result) (increase(gateway_config_reloads_total[1h])) {SEVERAL.format(label='result')}",
                    "{{result}}",
                ),
            ),
        ),
        Panel(
            "Age of issued keys",
            "s",
            "Since the database last confirmed them.",
            (("max by (instance) (gateway_keys_age_seconds)", "{{instance}}"),),
        ),
    ),
)
ROWS = (MONEY, TRAFFIC, TOKENS, PROMPTS, TIERS, LEARNING, CACHE, LATENCY, UPSTREAMS, LIMITS, PROCESS)


def dashboard() -> dict[str, Any]:
    return {
        "uid": "llm-gateway",
        "title": "LLM gateway",
        "tags": ["llm-gateway"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource(), _variable("route"), _variable("model")]},
        "panels": _laid_out(),
    }


def _laid_out() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        panels.append({"type": "row", "title": row.title, "gridPos": _at(0, y, COLUMNS, 1), "collapsed": False})
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + height
            height = 4 if panel.kind == "stat" else 8
            panels.append(_panel(panel, _at(x, y, panel.width, height)))
            x += panel.width
        y += height
    for number, each in enumerate(panels, 1):
        each["id"] = number
    return panels


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 25 if panel.is_stacked else 0,
            "stacking": {"mode": "normal" if panel.is_stacked else "none"},
            "showPoints": "never",
        }
        options: dict[str, Any] = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi"},
        }
    else:
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area", "colorMode": "value"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(65 + number), "datasource": DATASOURCE, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(name: str) -> dict[str, Any]:
    query = f"label_values({REQUESTS}, {name})"
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=1)
    sys.stdout.write("\n")
