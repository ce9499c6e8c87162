"""What is said of two versions: differences that are there, that may be chance, and where it is too early."""

from dataclasses import replace

import pytest

from gateway.accounting.compare import best_of, compare
from gateway.accounting.confidence import Sample
from gateway.accounting.versions import Figures


def of(mean: float, count: int, spread: float = 0.5) -> Sample:
    """`count` numbers with this mean, and a standard deviation of `spread` times it."""
    return Sample(count, mean * count, count * mean * mean * (1 + spread * spread))


def version(number: int, answers: int = 1_000, *, cost: float = 2e6, tokens_out: float = 80) -> Figures:
    return Figures(
        number,
        False,
        requests=answers,
        input_sample=of(200, answers, 0.01),
        output_sample=of(tokens_out, answers),
        cost_sample=of(cost, answers),
        duration_sample=of(800_000, answers),
        endings=(("length", answers // 50), ("stop", answers - answers // 50)),
        up=answers // 10,
        down=answers // 50,
    )


def verdicts(before: Figures, after: Figures) -> dict[str, str]:
    return {line.name: line.verdict for line in compare("support", before, after).lines}


def test_two_that_are_alike_show_no_difference() -> None:
    assert verdicts(version(7), version(8)) == {
        "tokens in": "same",
        "tokens out": "same",
        "cost": "same",
        "time": "same",
        "failed": "none",
        "cut at the length limit": "same",
        "called a tool": "none",
        "stopped by a content filter": "none",
        "thumbs down": "same",
    }


def test_a_difference_is_named_with_its_interval() -> None:
    found = compare("support", version(7), version(8, cost=2.4e6, tokens_out=60))
    assert found.verdict.startswith(
        "8 against 7: tokens out 25.0 % less (20.6 to 29.2); cost 20.0 % more (13.3 to 27.1). No difference seen in"
    )


def test_a_difference_that_may_be_chance_is_none() -> None:
    assert verdicts(version(7, 120), version(8, 120, cost=2.1e6))["cost"] == "same"


def test_too_few_answers_are_not_judged_and_it_says_how_many_more() -> None:
    found = compare("support", version(7), version(8, 40, cost=9e6))
    assert {line.verdict for line in found.lines} == {"early"}
    assert found.verdict == (
        "Not enough yet for tokens in, tokens out, cost, time, failed, cut at the length limit, called a tool,"
        " stopped by a content filter, thumbs down: 60 more answers of 8, 46 more opinions on 8."
    )
    assert all(line.change is None for line in found.lines)


def test_thumbs_down_have_a_minimum_of_their_own() -> None:
    before, after = replace(version(7), up=90, down=10), replace(version(8), up=60, down=40)
    [line] = [line for line in compare("support", before, after).lines if line.name == "thumbs down"]
    assert line.verdict == "more"
    assert line.change == pytest.approx(0.3)
    early = replace(after, up=20, down=29)
    [line] = [line for line in compare("support", before, early).lines if line.name == "thumbs down"]
    assert (line.verdict, line.more_before, line.more_after) == ("early", 0, 1)


def test_failures_are_compared_though_one_has_none() -> None:
    assert verdicts(version(7), replace(version(8), failed=50))["failed"] == "more"


def test_what_cost_nothing_before_has_no_percentage() -> None:
    found = compare("support", replace(version(7), cost_sample=of(0, 1_000)), version(8))
    [line] = [line for line in found.lines if line.name == "cost"]
    assert (line.verdict, line.change) == ("more", None)
    assert "cost more" in found.verdict


def test_a_version_that_nobody_was_served_yet_is_known_by_its_shadow_calls() -> None:
    served, shadow = version(8, 3), replace(version(8, 500), is_shadow=True)
    assert best_of([version(7), served, shadow], 8) is shadow
    assert best_of([version(7), version(8, 500), shadow], 8).is_shadow is False
    assert best_of([version(7)], 9) == Figures(9, False)


def test_nothing_at_all_is_too_early() -> None:
    found = compare("support", Figures(1, False), Figures(2, False))
    assert {line.verdict for line in found.lines} == {"early"}
    assert all(line.before is None is line.after for line in found.lines)
