import pytest

from gateway.config.model import Route, Router, Tier
from gateway.errors import NotAllowed
from gateway.routing.decide import decide
from gateway.routing.model import Classifier
from gateway.values import Decision, Target
from tests.support.routing import tiny_document

MINI, LARGE, SPARE = Target("openai", "mini"), Target("openai", "large"), Target("backup", "large")
TIERS = {"cheap": (MINI,), "expensive": (LARGE, SPARE)}
AUTO = Route(name="auto", tier="auto")
CLASSIFIER = Classifier(tiny_document())


def choose(
    route: Route = AUTO,
    *,
    query: str = "an easy question",
    forced: Tier | None = None,
    classifier: Classifier | None = CLASSIFIER,
    threshold: float | None = 0.5,
) -> Decision:
    return decide(route, TIERS, model="gpt-x", query=query, forced=forced, classifier=classifier, threshold=threshold)


def test_a_route_to_an_upstream_keeps_the_clients_model() -> None:
    assert choose(Route(name="r", upstream="openai")) == Decision((Target("openai", "gpt-x"),), "none", "upstream")


@pytest.mark.parametrize("tier", ["cheap", "expensive"])
def test_a_fixed_tier_is_the_operators_word_even_against_the_header(tier: Tier) -> None:
    other: Tier = "expensive" if tier == "cheap" else "cheap"
    assert choose(Route(name="r", tier=tier), forced=other) == Decision(TIERS[tier], tier, "fixed")


def test_the_header_picks_the_tier_of_an_auto_route() -> None:
    assert choose(forced="cheap", query="a hard question") == Decision((MINI,), "cheap", "header", compare_with=LARGE)


def test_a_tier_that_is_not_configured_cannot_be_asked_for() -> None:
    with pytest.raises(NotAllowed, match="Tier 'cheap' is not configured"):
        decide(
            AUTO,
            {"expensive": (LARGE,)},
            model="gpt-x",
            query="q",
            forced="cheap",
            classifier=CLASSIFIER,
            threshold=0.5,
        )


def test_an_easy_query_goes_cheap_and_a_hard_one_up() -> None:
    easy, hard = choose(query="an easy question"), choose(query="a hard question")
    assert (easy.tier, easy.targets, easy.reason) == ("cheap", (MINI,), "classifier")
    assert (hard.tier, hard.targets, hard.reason) == ("expensive", (LARGE, SPARE), "classifier")
    assert easy.compare_with == hard.compare_with == LARGE
    assert easy.probability == CLASSIFIER.probability("an easy question")


def test_a_probability_at_the_threshold_goes_up() -> None:
    p = CLASSIFIER.probability("an easy question")
    assert choose(threshold=p).tier == "expensive"


@pytest.mark.parametrize("query", ["", " \n\t"])
def test_a_blank_query_goes_up(query: str) -> None:
    assert choose(query=query, threshold=1.0) == Decision(
        TIERS["expensive"], "expensive", "unfamiliar", compare_with=LARGE
    )


def test_a_query_in_unknown_words_goes_up_whatever_its_probability() -> None:
    decision = choose(query="xyzzy plugh frotz", threshold=1.0)
    assert (decision.tier, decision.reason) == ("expensive", "unfamiliar")
    assert decision.probability is not None


def test_without_a_classifier_everything_goes_up() -> None:
    assert choose(classifier=None).reason == "unfamiliar"


def test_without_a_threshold_the_routes_quality_picks_one() -> None:
    loose = Route(name="r", tier="auto", router=Router(quality=0.8))
    strict = Route(name="r", tier="auto", router=Router(quality=0.95))
    assert choose(loose, query="an easy question", threshold=None).tier == "cheap"
    assert choose(strict, query="an easy question", threshold=None).tier == "expensive"


def test_the_routes_own_threshold_comes_before_its_models_table() -> None:
    route = Route(name="r", tier="auto", router=Router(threshold=1.0))
    assert choose(route, query="a hard question", threshold=None).tier == "cheap"
