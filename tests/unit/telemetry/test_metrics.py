import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.record import Attempt, Record
from gateway.telemetry.metrics import Metrics
from gateway.values import Cost, Decision, Estimate, Target, Usage

DOC = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
CHEAP = Target("openai", "gpt-4o-mini")
DEAR = Target("openai", "gpt-4o")
BY_CLASSIFIER = Decision((CHEAP,), "cheap", "classifier", probability=0.3, compare_with=DEAR)


def record(**changes: Any) -> Record:
    """A miss, answered by the cheap tier, unless `changes` say otherwise."""
    fields: dict[str, Any] = {
        "route": "support",
        "estimate": Estimate(1000, "exact"),
        "decision": BY_CLASSIFIER,
        "target": CHEAP,
        "cache": "miss",
        "attempts": [Attempt(CHEAP, "ok", 0.5)],
        "status": 200,
        "is_success": True,
        "usage": Usage(input=1000, output=300, cached_input=400, reasoning=100),
        "is_usage_reported": True,
        "cost": Cost(300_000, "computed"),
        "saved_nanousd": {"tier": 4_700_000},
        "upstream_s": 0.5,
        "first_byte_s": 0.502,
        "duration_s": 0.503,
    }
    return Record("req-1", "chat", 1_800_000_000.0, 1000.0, **(fields | changes))


def scraped(*records: Record) -> dict[str, float]:
    """The exposition as `name{value,value}` → value, after these records."""
    metrics = Metrics(lambda target: target.model)
    for one in records:
        metrics.observe(one)
    labels = {name: one.labels for one in metrics.table for name in (one.name, one.name.removesuffix("_total"))}
    body, _ = metrics.render("")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            values = (sample.labels[label] for label in (*labels[family.name], "le") if label in sample.labels)
            found[f"{sample.name.removeprefix('gateway_')}{{{','.join(values)}}}"] = sample.value
    return found


def some(found: dict[str, float], *names: str) -> dict[str, float]:
    return {key: value for key, value in found.items() if key.startswith(names) and "_bucket" not in key}


def test_a_miss_is_counted_in_every_metric_it_belongs_to() -> None:
    found = scraped(record())
    assert {key: value for key, value in found.items() if "_bucket" not in key and "info" not in key} == {
        "requests_total{support,chat,cheap,gpt-4o-mini,200}": 1,
        "request_duration_seconds_count{support,chat}": 1,
        "request_duration_seconds_sum{support,chat}": 0.503,
        "overhead_seconds_count{support}": 1,
        "overhead_seconds_sum{support}": pytest.approx(0.002),
        "tokens_total{support,cheap,gpt-4o-mini,input}": 600,
        "tokens_total{support,cheap,gpt-4o-mini,cached_input}": 400,
        "tokens_total{support,cheap,gpt-4o-mini,output}": 300,
        "tokens_total{support,cheap,gpt-4o-mini,reasoning}": 100,
        "cost_usd_total{support,cheap,gpt-4o-mini,computed}": 0.0003,
        "saved_usd_total{support,tier}": 0.0047,
        "prompt_tokens_count{support}": 1,
        "prompt_tokens_sum{support}": 1000,
        "completion_tokens_count{support}": 1,
        "completion_tokens_sum{support}": 300,
        "token_count_error_ratio_count{gpt-4o-mini}": 1,
        "token_count_error_ratio_sum{gpt-4o-mini}": 1,
        "cache_requests_total{support,miss}": 1,
        "router_decisions_total{support,cheap,classifier}": 1,
        "router_probability_count{support}": 1,
        "router_probability_sum{support}": 0.3,
        "upstream_attempts_total{openai,ok}": 1,
    }


def test_a_hit_spends_nothing_and_saves_what_the_answer_had_cost() -> None:
    hit = record(
        cache="hit", attempts=[], cost=None, saved_nanousd={"cache": 300_000}, is_stream=True, first_byte_s=0.01
    )
    found = scraped(hit)
    spent = ("tokens_total", "cost_usd", "completion_tokens", "token_count_error", "upstream_attempts", "time_to_first")
    assert some(found, *spent) == {}
    assert found["saved_usd_total{support,cache}"] == 0.0003
    assert found["requests_total{support,chat,cheap,gpt-4o-mini,200}"] == 1
    assert found["cache_requests_total{support,hit}"] == 1
    assert found["prompt_tokens_count{support}"] == 1


def test_a_request_without_a_route_is_counted_under_none() -> None:
    unknown_key = Record(
        "req-1", "chat", 1_800_000_000.0, 1000.0, status=401, error="InvalidKey", rejected="invalid_key"
    )
    found = scraped(unknown_key)
    assert some(found, "requests_total", "rejected_total") == {
        "requests_total{none,chat,none,none,401}": 1,
        "rejected_total{none,invalid_key}": 1,
    }


def test_a_stream_that_broke_is_counted_by_its_error_and_paid_for() -> None:
    found = scraped(record(is_stream=True, status=502, first_byte_s=0.2, error="UpstreamCut", is_success=False))
    assert some(found, "requests_total", "cost_usd", "time_to_first") == {
        "requests_total{support,chat,cheap,gpt-4o-mini,502}": 1,
        "cost_usd_total{support,cheap,gpt-4o-mini,computed}": 0.0003,
    }


def test_what_is_passed_through_has_no_model() -> None:
    files = record(
        decision=Decision((Target("openai", ""),), "none", "upstream"),
        target=Target("openai", ""),
        **dict.fromkeys(("estimate", "cache", "usage", "cost")),
        saved_nanousd={},
    )
    assert some(scraped(files), "requests_total") == {"requests_total{support,chat,none,none,200}": 1}


def test_a_client_that_left_keeps_its_499_and_pays_for_what_was_relayed() -> None:
    left = record(is_stream=True, status=499, first_byte_s=0.2, error="ClientGone", cost=Cost(7, "estimated"))
    found = scraped(left)
    assert found["requests_total{support,chat,cheap,gpt-4o-mini,499}"] == 1
    assert found["time_to_first_token_seconds_sum{support,gpt-4o-mini}"] == 0.2
    assert found["cost_usd_total{support,cheap,gpt-4o-mini,estimated}"] == 7e-9


@pytest.mark.parametrize(
    "changes",
    [{"is_stream": False}, {"first_byte_s": None}, {"status": 502, "error": "UpstreamUnavailable"}],
    ids=["not a stream", "no byte left", "an error"],
)
def test_time_to_first_token_is_of_streamed_answers_only(changes: dict[str, Any]) -> None:
    assert some(scraped(record(**({"is_stream": True, "first_byte_s": 0.2} | changes))), "time_to_first") == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"estimate": Estimate(1000, "bound")},
        {"is_usage_reported": False},
        {"usage": Usage(input=0, output=0)},
        {"usage": None, "cost": None},
    ],
    ids=["upper bound", "our own count", "nothing reported", "no usage"],
)
def test_the_count_is_compared_with_reports_only(changes: dict[str, Any]) -> None:
    assert some(scraped(record(**changes)), "token_count_error") == {}


def test_an_unpriced_call_is_compared_too() -> None:
    found = scraped(record(cost=None, price_unknown=True))
    assert found["token_count_error_ratio_count{gpt-4o-mini}"] == 1


def test_a_prompt_near_the_end_of_its_context_window_is_counted_for_the_decided_model() -> None:
    found = scraped(record(context=1_250), record(context=1_249), record(context=1_249, target=None), record())
    assert some(found, "context") == {"context_window_near_total{support,gpt-4o-mini}": 2}


def test_unusually_long_prompts_are_counted_by_route() -> None:
    found = scraped(record(is_unusually_long=True), record())
    assert some(found, "prompt_length") == {"prompt_length_anomalies_total{support}": 1}


def test_waste_is_counted_by_kind_and_priced_where_there_is_a_price() -> None:
    metrics = Metrics(str)
    metrics.observe_waste("support", {"json": 100, "repeat": 40}, {"json": 250_000, "repeat": 100_000})
    metrics.observe_waste("support", {"json": 10}, {})
    assert metrics.wasted_tokens.children == {("support", "json"): [110], ("support", "repeat"): [40]}
    assert metrics.wasted_usd.children == {("support", "json"): [250_000], ("support", "repeat"): [100_000]}


def test_dropped_messages_are_counted_by_route() -> None:
    found = scraped(record(dropped_messages=2, dropped_tokens=90), record(dropped_messages=1), record())
    assert some(found, "dropped") == {"dropped_messages_total{support}": 3}


def test_exact_counts_stand_apart_from_near_misses() -> None:
    found = scraped(*(record(estimate=Estimate(n, "exact")) for n in (998, 1000, 1000, 1002)))
    bucket = "token_count_error_ratio_bucket{gpt-4o-mini,%s}"
    assert [found[bucket % le] for le in ("0.999", "1.0", "1.001", "1.01")] == [1, 3, 3, 4]


def test_neither_the_rest_of_a_stream_nor_a_slow_client_is_our_overhead() -> None:
    stream = record(is_stream=True, upstream_s=0.5, first_byte_s=0.502, duration_s=30.0)
    assert scraped(stream)["overhead_seconds_sum{support}"] == pytest.approx(0.002)


def test_where_no_byte_was_sent_all_the_time_not_spent_on_upstreams_is_overhead() -> None:
    gone = record(status=499, upstream_s=0.5, first_byte_s=None, duration_s=0.501)
    assert scraped(gone)["overhead_seconds_sum{support}"] == pytest.approx(0.001)


def test_a_call_without_a_price_is_flagged_and_its_tokens_counted() -> None:
    found = scraped(record(cost=None, price_unknown=True, saved_nanousd={}))
    assert found["price_unknown_total{gpt-4o-mini}"] == 1
    assert found["tokens_total{support,cheap,gpt-4o-mini,output}"] == 300
    assert some(found, "cost_usd", "saved_usd") == {}


def test_a_cheap_tier_that_came_out_dearer_is_no_saving() -> None:
    assert some(scraped(record(saved_nanousd={"tier": -5})), "saved") == {}


def test_every_try_is_counted() -> None:
    backup = Target("backup", "gpt-4o")
    tries = [Attempt(CHEAP, "connect"), Attempt(CHEAP, "status_5xx"), Attempt(backup, "ok")]
    assert some(scraped(record(attempts=tries)), "upstream_attempts") == {
        "upstream_attempts_total{openai,connect}": 1,
        "upstream_attempts_total{openai,status_5xx}": 1,
        "upstream_attempts_total{backup,ok}": 1,
    }


def test_counters_go_on_when_labels_are_replaced_by_a_reload() -> None:
    metrics = Metrics(lambda target: target.model)
    metrics.observe(record())
    metrics.label = lambda target: "other"
    metrics.observe(record())
    assert {key[3]: value for key, value in metrics.requests.children.items()} == {"gpt-4o-mini": [1], "other": [1]}


def test_readings_are_taken_by_name_and_only_by_known_names() -> None:
    metrics = Metrics(str)
    metrics.gauge("gateway_in_flight_requests", lambda: {(): 3})
    metrics.gauge("gateway_in_flight_requests", lambda: {(): 4})
    assert b"\ngateway_in_flight_requests 4.0\n" in metrics.render("")[0]
    with pytest.raises(KeyError):
        metrics.gauge("gateway_unheard_of", dict)


def test_the_exposition_is_valid_openmetrics() -> None:
    metrics = Metrics(str)
    metrics.observe(record(is_stream=True, first_byte_s=0.2))
    body, content_type = metrics.render(OPENMETRICS)
    families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert content_type.startswith("application/openmetrics-text")
    assert families["gateway_requests"].type == "counter"
    assert families["gateway_request_duration_seconds"].type == "histogram"
    assert families["gateway_in_flight_requests"].type == "gauge"
    assert b"_created" not in body


def test_the_doc_lists_exactly_the_metrics_of_the_code() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \| (\w+) \| ?(.*?) ?\|$", DOC, re.MULTILINE)
    listed = [(name, kind, tuple(filter(None, labels.split(", ")))) for name, _, kind, labels in rows]
    assert sorted(listed) == sorted((one.name, one.kind, one.labels) for one in Metrics(str).table)
    assert all(name == anchor for name, anchor, _, _ in rows)


def test_every_metric_has_a_section_with_a_query_that_names_it() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", DOC, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(one.name for one in Metrics(str).table)
    for name, text in sections.items():
        query = re.search(r"```promql\n(.*?)```", text, re.DOTALL)
        assert query is not None, name
        assert name in query[1], name


def test_a_call_of_the_gateways_own_costs_money_and_is_no_request() -> None:
    metrics = Metrics(str)
    record = Record("r-shadow", "shadow", 0.0, 0.0)
    record.route, record.target, record.status = "support", CHEAP, 200
    record.decision = Decision((CHEAP,), "cheap", "shadow")
    record.usage, record.cost = Usage(10, 5), Cost(7, "computed")
    metrics.observe(record)
    assert metrics.requests.children == {}
    assert metrics.decisions.children == {}
    assert metrics.cost.children == {("support", "cheap", str(CHEAP), "computed"): [7]}
