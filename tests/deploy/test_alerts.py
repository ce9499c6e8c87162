"""The shipped alerts in Prometheus's own test bench, and their documentation.

What raises each one alone is in `deploy/prometheus/tests-*.yml`, for operators who change a threshold. Here are the two
stories that decide whether anybody will believe them: ordinary days, and the template that cost $12,000.
"""

import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promtool import PROMETHEUS, promtool

RULES = [PROMETHEUS / "rules" / name for name in ("recording.yml", "alerts.yml")]
DOC = (PROMETHEUS.parents[1] / "docs" / "alerts.md").read_text()

REQUESTS_A_DAY = 10_000_000
USD_A_REQUEST = 0.0005
EVERY_MINUTES = 10
"""Between two samples; alerts on five minutes have cases of their own."""
ORDINARY_DAYS = 4
WHITESPACE = 0.08
"""What the template adds to each prompt: at $5,000 a day that is $12,000 a month."""


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES[1].read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_shipped_configuration_and_rules_hold() -> None:
    assert "SUCCESS" in promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.parametrize("cases", sorted(PROMETHEUS.glob("tests-*.yml")), ids=lambda path: path.stem)
@pytest.mark.timeout(180)
def test_every_alert_fires_alone_and_for_its_reason(cases: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", str(cases))


def test_every_alert_has_a_case_that_raises_it() -> None:
    cases = "".join(path.read_text() for path in PROMETHEUS.glob("tests-*.yml"))
    assert [alert["alert"] for alert in alerts() if f'alertname="{alert["alert"]}"' not in cases] == []


def test_every_alert_has_a_paragraph_where_its_runbook_url_leads() -> None:
    sections = re.findall(r"^### (\w+)\n\n(.+?)(?=\n#|\Z)", DOC, re.MULTILINE | re.DOTALL)
    assert sorted(name for name, _ in sections) == sorted(alert["alert"] for alert in alerts())
    assert all(len(text.split()) > 25 for _, text in sections)
    for alert in alerts():
        assert alert["annotations"]["runbook_url"] == f"docs/alerts.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in ("page", "ticket")


# ------------------------------------------------------------------ two stories

Rate = Callable[[float], float]
"""Minutes since the beginning → growth a minute."""


def traffic(minute: float) -> float:
    """Requests a minute: four times as many at 14:00 as at 2:00, two thirds at the weekend, never quite smooth."""
    day, hour = divmod(minute / 60, 24)
    curve = 1 + 0.6 * math.sin((hour - 8) / 24 * 2 * math.pi)
    weekend = 0.66 if day % 7 >= 5 else 1.0
    return REQUESTS_A_DAY / 1440 * curve * weekend * jitter(minute, 0.05)


def jitter(minute: float, share: float) -> float:
    """The same every time, and without a rhythm that a window could hide."""
    return 1 + share * math.sin(minute * 0.731) * math.cos(minute * 0.0173)


def length(minute: float) -> float:
    """Prompt tokens of a request: at night there are batches with longer prompts."""
    night = math.cos(minute / 1440 * 2 * math.pi)
    return 800 * (1 + 0.08 * night) * jitter(minute, 0.02)


def story(*, changes_at: float) -> dict[str, Rate]:
    """What each counter of a route grows by; from `changes_at` on its template has whitespace nobody wants."""

    def dearer(minute: float) -> float:
        return 1 + WHITESPACE if minute >= changes_at else 1.0

    def prompt(minute: float) -> float:
        return length(minute) * dearer(minute) * traffic(minute)

    def cost(minute: float) -> float:
        return USD_A_REQUEST * (length(minute) / 800) * dearer(minute) * traffic(minute)

    def wasted(minute: float) -> float:
        return cost(minute) * (WHITESPACE if minute >= changes_at else 0.002)

    def share(of: float) -> Rate:
        return lambda minute: of * traffic(minute) * jitter(minute + 500, 0.03)

    route = 'route="support"'
    return {
        f'gateway_requests_total{{{route}, code="200"}}': traffic,
        f'gateway_requests_total{{{route}, code="502"}}': share(0.0002),
        f'gateway_requests_total{{{route}, code="400"}}': share(0.01),
        f"gateway_cost_usd_total{{{route}}}": cost,
        f"gateway_prompt_tokens_sum{{{route}}}": prompt,
        f"gateway_prompt_tokens_count{{{route}}}": traffic,
        f"gateway_completion_tokens_sum{{{route}}}": lambda minute: 200 * jitter(minute, 0.05) * traffic(minute),
        f"gateway_completion_tokens_count{{{route}}}": traffic,
        f'gateway_cache_requests_total{{{route}, result="hit"}}': share(0.2),
        f'gateway_cache_requests_total{{{route}, result="miss"}}': share(0.8),
        f'gateway_router_decisions_total{{{route}, tier="cheap"}}': share(0.6),
        f'gateway_router_decisions_total{{{route}, tier="expensive"}}': share(0.4),
        f'gateway_wasted_usd_total{{{route}, kind="runs"}}': wasted,
    }


def samples(rate: Rate, days: float) -> Iterator[str]:
    total = 0.0
    for minute in range(0, int(days * 1440) + 1, EVERY_MINUTES):
        yield f"{total:.6f}"
        total += rate(minute) * EVERY_MINUTES


def played(folder: Path, rates: dict[str, Rate], days: float, expectations: list[dict[str, Any]]) -> str:
    """What promtool says; AssertionError where an expectation does not hold."""
    for rules in RULES:
        shutil.copy(rules, folder)
    series = [{"series": name, "values": " ".join(samples(rate, days))} for name, rate in rates.items()]
    states = [
        {"series": 'gateway_store_up{instance="a"}', "values": f"1x{int(days * 144)}"},
        {"series": 'up{job="gateway", instance="a"}', "values": f"1x{int(days * 144)}"},
    ]
    test = {"interval": f"{EVERY_MINUTES}m", "input_series": series + states, "promql_expr_test": expectations}
    bench = {"rule_files": [rules.name for rules in RULES], "evaluation_interval": "4m", "tests": [test]}
    (folder / "story.yml").write_text(yaml.safe_dump(bench, width=10_000_000))
    return promtool("test", "rules", str(folder / "story.yml"))


@pytest.mark.timeout(180)
def test_ordinary_days_are_silent_and_the_12000_dollar_template_is_not(tmp_path: Path) -> None:
    changes_at = ORDINARY_DAYS * 1440 + 10 * 60
    firing = 'ALERTS{alertstate="firing"}'
    silent = {"expr": f"count_over_time({firing}[{ORDINARY_DAYS}d])", "eval_time": f"{ORDINARY_DAYS}d10h"}
    raised = {
        "expr": f"count by (alertname) (max_over_time({firing}[2d]))",
        "eval_time": f"{ORDINARY_DAYS + 1}d10h",
        "exp_samples": [
            {"labels": '{alertname="GatewayCostPerRequestShift"}', "value": 1},
            {"labels": '{alertname="GatewayWaste"}', "value": 1},
        ],
    }
    within_two_hours = {
        "expr": f"count by (alertname) ({firing})",
        "eval_time": f"{ORDINARY_DAYS}d12h",
        "exp_samples": [{"labels": '{alertname="GatewayWaste"}', "value": 1}],
    }
    said = played(tmp_path, story(changes_at=changes_at), ORDINARY_DAYS + 1.5, [silent, within_two_hours, raised])
    assert "SUCCESS" in said
