from multidict import CIMultiDict

from gateway.record import Record
from gateway.values import Cost, Decision, Estimate, Target, Usage
from gateway.wire.headers import from_record, request_id, to_client, to_upstream, usd


def test_what_belongs_to_the_operator_does_not_come_from_the_client() -> None:
    headers = CIMultiDict(
        {
            "Authorization": "Bearer ours",
            "OpenAI-Organization": "org",
            "Cookie": "a=b",
            "X-Forwarded-For": "1.2.3.4",
            "x-gateway-route": "r",
            "Host": "gateway",
            "Connection": "keep-alive, X-Secret-Hop",
            "X-Secret-Hop": "1",
            "Content-Type": "application/json",
            "X-Stainless-Lang": "python",
        }
    )
    assert dict(to_upstream(headers, own_credentials=False)) == {
        "Content-Type": "application/json",
        "X-Stainless-Lang": "python",
    }


def test_a_clients_own_credentials_go_on_where_they_may() -> None:
    headers = CIMultiDict({"Authorization": "Bearer theirs", "OpenAI-Project": "p", "Cookie": "a=b"})
    assert dict(to_upstream(headers, own_credentials=True)) == {"Authorization": "Bearer theirs", "OpenAI-Project": "p"}


def test_repeated_headers_reach_the_client_and_the_upstreams_connection_does_not() -> None:
    headers = CIMultiDict(
        [
            ("Content-Type", "application/json"),
            ("X-Multi", "1"),
            ("X-Multi", "2"),
            ("Set-Cookie", "__cf_bm=secret"),
            ("Alt-Svc", 'h3=":443"'),
            ("Transfer-Encoding", "chunked"),
            ("openai-processing-ms", "12"),
            ("x-request-id", "req_upstream"),
            ("x-gateway-route", "forged"),
        ]
    )
    assert to_client(headers) == [
        ("Content-Type", "application/json"),
        ("X-Multi", "1"),
        ("X-Multi", "2"),
        ("openai-processing-ms", "12"),
        ("x-upstream-request-id", "req_upstream"),
    ]


def test_a_sane_request_id_is_kept_and_another_replaced() -> None:
    assert request_id(CIMultiDict({"x-request-id": "trace-1.a:b"})) == "trace-1.a:b"
    for bad in ("", "a b", "a" * 129, 'x"y', "é"):
        assert request_id(CIMultiDict({"x-request-id": bad})).startswith("req_")
    assert request_id(CIMultiDict()) != request_id(CIMultiDict())


def test_our_headers_are_read_off_the_record() -> None:
    target = Target("openai", "gpt-5-mini")
    record = Record("req_1", "chat", 0.0, 0.0, route="support", target=target)
    record.decision = Decision((target,), "cheap", "classifier")
    record.estimate = Estimate(12, "exact")
    record.usage, record.cost = Usage(12, 3), Cost(5400, "computed")
    record.first_byte_s, record.upstream_s = 0.25, 0.2
    assert from_record(record) == [
        ("x-request-id", "req_1"),
        ("x-gateway-route", "support"),
        ("x-gateway-tier", "cheap"),
        ("x-gateway-model", "openai/gpt-5-mini"),
        ("x-gateway-prompt-tokens", "12"),
        ("x-gateway-cost-usd", "0.000005400"),
        ("Server-Timing", "total;dur=250.0, upstream;dur=200.0"),
    ]


def test_the_client_is_told_how_many_messages_were_dropped() -> None:
    record = Record("r", "chat", 0.0, 0.0, dropped_messages=3)
    assert ("x-gateway-dropped-messages", "3") in from_record(record)
    assert "x-gateway-dropped-messages" not in dict(from_record(Record("r", "chat", 0.0, 0.0)))


def test_a_model_name_cannot_write_headers() -> None:
    record = Record("r", "chat", 0.0, 0.0, target=Target("up", "a\r\nSet-Cookie: x"))
    assert ("x-gateway-model", "up/a??Set-Cookie: x") in from_record(record)


def test_dollars_are_shown_exactly() -> None:
    assert usd(0) == "0.000000000"
    assert usd(12_345_678_901_234) == "12345.678901234"
