"""Numbers of several processes, added up."""

from gateway.telemetry import snapshot
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.snapshot import Totals


def process(*, requests: int, in_flight: int, is_store_up: bool) -> bytes:
    metrics = Metrics(lambda _: "")
    metrics.requests.inc(("default", "chat", "none", "gpt-5", "200"), requests)
    metrics.cost.inc(("default", "none", "gpt-5", "computed"), requests * 1_500)
    metrics.overhead.observe(("default",), 0.0002)
    metrics.gauge("gateway_in_flight_requests", lambda: {(): in_flight})
    metrics.gauge("gateway_store_up", lambda: {(): int(is_store_up)})
    metrics.gauge("gateway_ledger_up", lambda: {(): 1})
    metrics.gauge("gateway_ledger_queued_rows", lambda: {(): 7})
    metrics.gauge("gateway_store_errors_total", lambda: {("get",): 2})
    return snapshot.take(metrics)


def lines(totals: Totals) -> list[str]:
    body, _ = totals.render("")
    return [line for line in body.decode().splitlines() if not line.startswith("#")]


REQUESTS = 'gateway_requests_total{code="200",endpoint="chat",model="gpt-5",route="default",tier="none"}'


def test_what_is_counted_adds_up_and_what_is_a_state_is_combined() -> None:
    totals = Totals()
    totals.update(1, process(requests=3, in_flight=5, is_store_up=True))
    totals.update(2, process(requests=4, in_flight=6, is_store_up=False))
    shown = lines(totals)
    assert f"{REQUESTS} 7.0" in shown
    assert 'gateway_cost_usd_total{model="gpt-5",route="default",source="computed",tier="none"} 1.05e-05' in shown
    assert 'gateway_overhead_seconds_count{route="default"} 2.0' in shown
    assert 'gateway_overhead_seconds_bucket{le="0.00025",route="default"} 2.0' in shown
    assert "gateway_in_flight_requests 11.0" in shown
    assert "gateway_store_up 0.0" in shown
    assert "gateway_ledger_up 1.0" in shown
    assert "gateway_ledger_queued_rows 14.0" in shown
    assert 'gateway_store_errors_total{op="get"} 4.0' in shown


def test_a_later_snapshot_stands_in_place_of_the_earlier() -> None:
    totals = Totals()
    totals.update(1, process(requests=3, in_flight=5, is_store_up=True))
    totals.update(1, process(requests=9, in_flight=1, is_store_up=True))
    assert f"{REQUESTS} 9.0" in lines(totals)


def test_counters_of_a_process_that_is_gone_stay_and_its_states_go() -> None:
    totals = Totals()
    totals.update(1, process(requests=3, in_flight=5, is_store_up=False))
    totals.update(2, process(requests=4, in_flight=6, is_store_up=True))
    totals.leave(1)
    totals.leave(1)
    shown = lines(totals)
    assert f"{REQUESTS} 7.0" in shown
    assert 'gateway_store_errors_total{op="get"} 4.0' in shown
    assert "gateway_in_flight_requests 6.0" in shown
    assert "gateway_store_up 1.0" in shown


def test_nothing_pushed_is_nothing_shown() -> None:
    assert not any(line.startswith("gateway_requests_total{") for line in lines(Totals()))


def test_of_several_processes_the_newest_example_of_a_bucket_is_shown() -> None:
    totals = Totals()
    for process, (request_id, at) in enumerate([("req-old", 100.0), ("req-new", 200.0), ("req-older", 50.0)]):
        metrics = Metrics(lambda _: "")
        metrics.duration.observe(("default", "chat"), 0.3)
        metrics.duration.note(("default", "chat"), 0.3, request_id, at)
        totals.update(process, snapshot.take(metrics))
    body = totals.render("application/openmetrics-text; version=1.0.0")[0].decode()
    assert 'le="0.5",route="default"} 3.0 # {request_id="req-new"} 0.3 200.0' in body
    assert "req-old" not in body
    assert b"req-new" not in totals.render("")[0]
