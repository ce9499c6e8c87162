"""A provider's exports as they come, and where they differ from the ledger."""

import io

import pytest

from gateway.accounting.reconcile import Billed, Unreadable, compare, read_export

USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,num_model_requests,project_id,model,input_tokens,output_tokens,input_cached_tokens
1795305600,1795392000,2026-11-22T00:00:00+00:00,2026-11-23T00:00:00+00:00,3,p,gpt-5-mini-2025-08-07,1000,200,400
1795305600,1795392000,2026-11-22T00:00:00+00:00,2026-11-23T00:00:00+00:00,1,q,gpt-5-mini-2025-08-07,500,50,
1795219200,1795305600,2026-11-21T00:00:00+00:00,2026-11-22T00:00:00+00:00,1,p,gpt-5.2,10,5,0
"""
COSTS = """\
start_time,amount_value,amount_currency,line_item
1795305600,0.000250000,usd,"gpt-5-mini-2025-08-07, input"
1795305600,1.6e-06,usd,"gpt-5-mini-2025-08-07, cached input"
1795305600,0,usd,
"""


def test_a_usage_export_adds_up_by_day_and_model() -> None:
    assert read_export(io.StringIO(USAGE)) == {
        ("2026-11-22", "gpt-5-mini-2025-08-07"): Billed(4, 1500, 400, 250),
        ("2026-11-21", "gpt-5.2"): Billed(1, 10, 0, 5),
    }


def test_a_cost_export_names_models_in_its_line_items() -> None:
    assert read_export(io.StringIO(COSTS)) == {
        ("2026-11-22", "gpt-5-mini-2025-08-07"): Billed(cost_nanousd=251_600),
    }


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("1795305600", "2026-11-22"),
        ("2026-11-22", "2026-11-22"),
        ("2026-11-22T23:30:00Z", "2026-11-22"),
        ("2026-11-22T23:30:00-05:00", "2026-11-23"),
    ],
)
def test_days_are_utc_however_they_are_written(day: str, expected: str) -> None:
    ((found, _),) = read_export(io.StringIO(f"Date,Model,Input_Tokens\n{day},m,1\n"))
    assert found == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        ("a,b\n1,2\n", "expected columns for the day"),
        ("date,model,input_tokens\n2026-11-22,m,many\n", "line 2: expected a day"),
        ("date,model,input_tokens\nyesterday,m,1\n", "line 2"),
        ("date,model,cost,currency\n2026-11-22,m,1,eur\n", "expected amounts in USD, got eur"),
    ],
)
def test_what_is_no_export_is_said(text: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read_export(io.StringIO(text))


def test_equal_figures_do_not_drift_though_one_side_names_the_snapshot() -> None:
    theirs = {("d", "gpt-5-mini-2025-08-07"): Billed(4, 1500, 400, 250)}
    (difference,) = compare(theirs, {("d", "gpt-5-mini"): Billed(4, 1500, 400, 250, 99)})
    assert (difference.model, difference.drift()) == ("gpt-5-mini", 0.0)


def test_snapshots_that_both_name_are_kept_apart() -> None:
    both = {("d", "m-2026-01-01"): Billed(1), ("d", "m-2026-02-02"): Billed(2)}
    assert [each.model for each in compare(both, both)] == ["m-2026-01-01", "m-2026-02-02"]


def test_the_largest_gap_is_the_drift() -> None:
    (difference,) = compare({("d", "m"): Billed(100, 1000)}, {("d", "m"): Billed(99, 900)})
    assert difference.drift() == pytest.approx(0.1)


def test_a_day_that_one_side_lacks_drifts_wholly() -> None:
    assert [each.drift() for each in compare({("d", "m"): Billed(1)}, {("e", "m"): Billed(1)})] == [1.0, 1.0]
