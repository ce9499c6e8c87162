import pytest

from gateway.auth.rights import Callers, exceeds, within
from gateway.config.model import Config, Rights, Route, Team, Upstream
from gateway.config.money import Budget
from gateway.values import Caller

CONFIG = Config(
    auth="none",
    upstreams={"up": Upstream(base_url="http://localhost/v1")},
    routes=(Route(name="default", upstream="up"),),
    teams=(Team(name="thrifty", budgets=(Budget(usd=5, per="day"),)),),
)
ISSUER = Caller("boss", routes=frozenset({"a", "b"}), models=("gpt-5-*", "o3"), passthrough=("/v1/audio/*",))


@pytest.mark.parametrize(
    ("rights", "passthrough"),
    [
        (Rights(), None),
        (Rights(team="thrifty"), ()),
        (Rights(budgets=(Budget(usd=5, per="day"),)), ()),
        (Rights(models=("gpt-5",)), ()),
        (Rights(models=("gpt-5",), passthrough=("/v1/files",)), ("/v1/files",)),
    ],
)
def test_what_passes_through_is_no_way_around_a_budget_or_a_list_of_models(
    rights: Rights, passthrough: tuple[str, ...] | None
) -> None:
    assert Callers(CONFIG).of("bot", rights).passthrough == passthrough


def test_a_caller_without_limits_of_its_own_has_those_of_its_issuer() -> None:
    narrowed = within(Caller("bot"), ISSUER)
    assert (narrowed.name, narrowed.routes, narrowed.models) == ("bot", ISSUER.routes, ISSUER.models)
    assert within(Caller("bot"), Caller("boss")) == Caller("bot")


@pytest.mark.parametrize(
    ("models", "left"),
    [
        (("gpt-5-mini", "o3"), ("gpt-5-mini", "o3")),
        (("gpt-5-*",), ("gpt-5-*",)),
        (("*",), ()),
        (("gpt-*", "gpt-5-nano"), ("gpt-5-nano",)),
        (("gpt-5-?",), ()),  # covered, but that is not certain for every pattern
    ],
)
def test_of_patterns_only_those_are_left_that_the_issuers_surely_cover(
    models: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert within(Caller("bot", models=models), ISSUER).models == left


def test_what_would_be_cut_down_is_said() -> None:
    greedy = Caller("bot", team="sales", routes=frozenset({"a", "c"}), models=("gpt-4o",), passthrough=("/v1/files",))
    assert [problem.partition(":")[0] for problem in exceeds(greedy, ISSUER)] == [
        "routes",
        "models",
        "passthrough",
        "team",
    ]
    assert exceeds(Caller("bot", models=("o3",)), ISSUER) == []
