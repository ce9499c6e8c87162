"""Which limits and budgets apply to whom."""

from gateway.admission.plan import Account, Ceiling, Plans, Rate, Slots
from tests.support.config import read

PLANS = Plans(
    read(
        """\
store: redis://localhost
upstreams: {openai: {base_url: "https://api.openai.com/v1"}}
tiers: {cheap: [openai/gpt-5-mini], expensive: [openai/gpt-5.2]}
routes:
  - {name: chat, tier: auto, match: {models: [auto]}, limits: {concurrent: 100}}
  - {name: default, upstream: openai}
teams: [{name: support, limits: {tokens_per_minute: 200000}}]
keys:
  - name: bot
    key: secret-one
    team: support
    limits: {requests_per_minute: 60}
    budgets:
      - {usd: 0.1, per: day, on_exceeded: cheap}
      - {usd: 0.7, per: day, on_store_down: allow}
      - {tokens: 1000, per: hour}
  - {name: free, key: secret-two}
"""
    ).config
)


def test_key_team_and_route_apply_together() -> None:
    plan = PLANS.plan("bot", "support", "chat")
    assert plan is not None
    assert plan.rates == (Rate("key:bot", "requests", 60), Rate("team:support", "tokens", 200_000))
    assert plan.slots == (Slots("route:chat", 100),)
    assert plan.ceilings == (
        Ceiling(Account("key:bot", "usd", "day"), "key:bot:usd:day", 700_000_000, 100_000_000, may_fail_open=True),
        Ceiling(Account("key:bot", "tokens", "hour"), "key:bot:tokens:hour", 1_000, None, may_fail_open=False),
    )
    assert not plan.may_fail_open


def test_the_scripts_read_a_line_for_each_limit() -> None:
    plan = PLANS.plan("bot", "support", "chat")
    assert plan is not None
    assert plan.text.splitlines() == [
        "r key:bot 60 -",
        "t team:support 200000 -",
        "c route:chat 100 -",
        "u key:bot:usd:day 700000000 100000000",
        "k key:bot:tokens:hour 1000 -",
    ]
    assert plan.budgets == "u key:bot:usd:day k key:bot:tokens:hour"


def test_nothing_applies_to_who_is_not_limited() -> None:
    assert PLANS.plan("free", None, "default") is None
    assert PLANS.plan("client-0123456789ab", None, "default") is None


def test_plans_are_made_once_however_many_names_callers_have() -> None:
    first = PLANS.plan("client-1", None, "chat")
    assert first is PLANS.plan("client-2", "no such team", "chat")
    assert first is not None
    assert first.slots == (Slots("route:chat", 100),)


def test_all_budgets_are_known() -> None:
    assert [ceiling.name for ceiling in PLANS.ceilings()] == ["key:bot:usd:day", "key:bot:tokens:hour"]
