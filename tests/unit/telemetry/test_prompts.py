"""What is counted for each version of a prompt."""

from typing import Any

import pytest

from gateway.record import Record
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.prompts import OTHER, PAIRS, PromptMetrics, result_of
from gateway.values import Cost, Usage
from tests.support.ledger import record


def made(**fields: Any) -> Record:
    return record(**{"prompt": "support", "prompt_version": 7, "is_success": True, "status": 200, **fields})


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "completed"}, "stop"),
        ({"finish_reason": "max_output_tokens"}, "length"),
        ({"finish_reason": "function_call"}, "tool_calls"),
        ({"finish_reason": "a word of the upstream's"}, "other"),
        ({"cache": "hit"}, "cached"),
        ({"cache": "miss", "finish_reason": "length"}, "length"),
        ({"is_success": False, "status": 502}, "failed"),
        ({"is_success": False, "status": 400}, "failed"),
        ({"is_success": False, "status": 499}, "left"),
        ({"is_success": False, "status": 429, "rejected": "rate_limit_exceeded"}, "refused"),
    ],
)
def test_a_request_has_one_result(fields: dict[str, Any], result: str) -> None:
    assert result_of(made(**fields)) == result


def test_a_version_has_its_tokens_dollars_and_seconds() -> None:
    metrics = Metrics(str)
    metrics.observe(made(finish_reason="stop", usage=Usage(100, 20, 40), cost=Cost(7_000, "computed"), duration_s=0.3))
    metrics.observe(made(cache="hit", usage=Usage(100, 20), cost=None, duration_s=0.001))
    prompts = metrics.prompts
    assert prompts.requests.children == {("support", "7", "stop"): [1], ("support", "7", "cached"): [1]}
    assert {labels[2]: value for labels, (value,) in prompts.tokens.children.items()} == {
        "input": 60,
        "output": 20,
        "cached_input": 40,
    }
    assert prompts.cost.children == {("support", "7"): [7_000]}
    assert sum(prompts.duration.children["support", "7"][:-1]) == 1, "an answer of an upstream's, and no hit"


def test_what_a_policy_let_pass_is_counted() -> None:
    metrics = Metrics(str)
    metrics.observe(made(finish_reason="stop", prompt_warnings=("whitespace", "over_budget")))
    assert metrics.prompts.warnings.children == {
        ("support", "7", "whitespace"): [1],
        ("support", "7", "over_budget"): [1],
    }


def test_a_call_of_our_own_is_no_request() -> None:
    metrics = Metrics(str)
    metrics.observe(made(endpoint="shadow"))
    metrics.observe(record())
    assert metrics.prompts.requests.children == {}


def test_versions_without_end_are_counted_as_other() -> None:
    prompts = PromptMetrics()
    for version in range(1, PAIRS + 4):
        prompts.observe(made(prompt_version=version))
    assert prompts.requests.children[*OTHER, "other"] == [3]
    assert len(prompts.requests.children) == PAIRS + 1


def test_feedback_is_counted_by_opinion() -> None:
    prompts = PromptMetrics()
    for score in (1.0, 0.5, -0.1, 0.0):
        prompts.observe_feedback("support", 7, score)
    assert prompts.feedback.children == {
        ("support", "7", "up"): [2],
        ("support", "7", "down"): [1],
        ("support", "7", "neutral"): [1],
    }
