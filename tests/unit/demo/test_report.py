import pytest

from gateway.demo.report import Figures, read, saved_share, table, total

EXPOSITION = """\
# TYPE gateway_requests_total counter
gateway_requests_total{route="chat",endpoint="chat",tier="cheap",model="small",code="200"} 5
gateway_requests_total{route="chat",endpoint="chat",tier="expensive",model="large",code="200"} 2
gateway_requests_total{route="chat",endpoint="chat",tier="none",model="none",code="400"} 1
gateway_requests_total{route="other",endpoint="chat",tier="none",model="small",code="200"} 1
# TYPE gateway_rejected_total counter
gateway_rejected_total{route="chat",reason="prompt_too_long"} 1
# TYPE gateway_cache_requests_total counter
gateway_cache_requests_total{route="chat",result="hit"} 3
gateway_cache_requests_total{route="chat",result="miss"} 4
# TYPE gateway_tokens_total counter
gateway_tokens_total{route="chat",tier="cheap",model="small",type="input"} 1000
gateway_tokens_total{route="chat",tier="cheap",model="small",type="cached_input"} 200
gateway_tokens_total{route="chat",tier="cheap",model="small",type="output"} 300
gateway_tokens_total{route="chat",tier="cheap",model="small",type="reasoning"} 50
# TYPE gateway_cost_usd_total counter
gateway_cost_usd_total{route="chat",tier="cheap",model="small",source="computed"} 0.25
gateway_cost_usd_total{route="chat",tier="expensive",model="large",source="computed"} 0.5
# TYPE gateway_saved_usd_total counter
gateway_saved_usd_total{route="chat",reason="cache"} 0.125
gateway_saved_usd_total{route="chat",reason="tier"} 0.125
"""
CHAT = Figures(
    requests=8,
    refused=1,
    cheap=5,
    expensive=2,
    hits=3,
    input_tokens=1200,
    output_tokens=300,
    spent=0.75,
    saved_by_cache=0.125,
    saved_by_tier=0.125,
)


def test_figures_are_added_up_by_route() -> None:
    assert read(EXPOSITION) == {"chat": CHAT, "other": Figures(requests=1)}


def test_the_total_adds_the_routes_and_the_share_is_of_the_bill_without_us() -> None:
    assert total([CHAT, Figures(requests=1, spent=0.25)]).requests == 9
    assert saved_share(CHAT) == pytest.approx(0.25)
    assert saved_share(Figures()) == 0


def test_the_table_has_the_routes_in_order_strangers_after_them_and_a_sum() -> None:
    shown = table({"none": Figures(requests=2), "b": CHAT, "a": Figures(requests=1)}, order=["a", "b", "c"])
    assert shown.splitlines() == [
        "route                     a          b   none        all",
        "--------------------------------------------------------",
        "requests                  1          8      2         11",
        "  refused                 -          1      -          1",
        "  to the cheap tier       -          5      -          5",
        "  to the expensive tier   -          2      -          2",
        "  cache hits among them   -          3      -          3",
        "tokens in                 -      1,200      -      1,200",
        "tokens out                -        300      -        300",
        "dollars spent             -   0.750000      -   0.750000",
        "dollars saved             -   0.250000      -   0.250000",
        "  by the cache            -   0.125000      -   0.125000",
        "  by the cheap tier       -   0.125000      -   0.125000",
    ]


def test_savings_by_sharing_are_shown_where_there_are_any() -> None:
    assert "by sharing calls" not in table({"b": CHAT}, order=["b"])
    shared = Figures(requests=1, spent=1.0, saved_by_sharing=1.0)
    assert "  by sharing calls        1.000000" in table({"b": shared}, order=["b"])
    assert saved_share(shared) == pytest.approx(0.5)
