import pytest

from gateway.config.model import Match, Route
from gateway.errors import ModelNotFound, NotAllowed
from gateway.routing.match import RouteTable
from gateway.values import Caller

SUPPORT = Route(name="support", match=Match(models=("auto", "support-*"), teams=("support",)), tier="auto")
CHEAP = Route(name="cheap", match=Match(models=("small",)), tier="cheap")
OTHER = Route(name="other", match=Match(models=("gpt-*",)), upstream="openai")
TABLE = RouteTable([SUPPORT, CHEAP, OTHER])
ANYONE = Caller("anyone")
SUPPORTER = Caller("bot", team="support")


@pytest.mark.parametrize(
    ("model", "caller", "route"),
    [
        ("auto", SUPPORTER, SUPPORT),
        ("support-eu", SUPPORTER, SUPPORT),
        ("gpt-5", SUPPORTER, OTHER),
        ("gpt-5", ANYONE, OTHER),
        ("small", ANYONE, CHEAP),
    ],
)
def test_the_first_route_that_matches_wins(model: str, caller: Caller, route: Route) -> None:
    assert TABLE.match(model, "chat", caller) is route


@pytest.mark.parametrize(
    ("model", "caller"),
    [("auto", ANYONE), ("smaller", ANYONE), ("small\n", ANYONE), ("gpt-5", Caller("k", routes=frozenset({"cheap"})))],
)
def test_a_model_without_a_route_is_not_found(model: str, caller: Caller) -> None:
    with pytest.raises(ModelNotFound):
        TABLE.match(model, "chat", caller)


def test_a_named_route_is_taken_whatever_the_model() -> None:
    assert TABLE.match("anything", "chat", SUPPORTER, named="support") is SUPPORT


@pytest.mark.parametrize("name", ["support", "nowhere"])
def test_a_route_one_may_not_use_looks_like_one_that_does_not_exist(name: str) -> None:
    with pytest.raises(NotAllowed, match="may not use the route named"):
        TABLE.match("gpt-5", "chat", ANYONE, named=name)


def test_aliases_are_the_names_that_are_spelled_out() -> None:
    assert TABLE.aliases(SUPPORTER) == ["auto", "small"]
    assert TABLE.aliases(ANYONE) == ["small"]
