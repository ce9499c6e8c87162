from dataclasses import replace

import pytest

from gateway.config.model import Always, Route, Router, Tier
from gateway.config.model import Rules as RulesConfig
from gateway.errors import NotAllowed
from gateway.routing.decide import Policy, Tiers, decide, threshold_of
from gateway.routing.model import Classifier
from gateway.routing.rules import Rules
from gateway.values import Decision, Question, Target
from tests.support.routing import tiny_document

MINI, LARGE, SPARE = Target("openai", "mini"), Target("openai", "large"), Target("backup", "large")
TIERS: Tiers = {"cheap": (MINI,), "expensive": (LARGE, SPARE)}
AUTO = Route(name="auto", tier="auto")
CLASSIFIER = Classifier(tiny_document())
POLICY = Policy(CLASSIFIER, threshold=0.5)
REFUNDS = Rules.of(RulesConfig(always_expensive=Always(keywords=("refund*", "cancel"), images=True)))


def choose(
    text: str = "an easy question",
    *earlier: str,
    route: Route = AUTO,
    policy: Policy = POLICY,
    forced: Tier | None = None,
    down: tuple[Target, ...] = (),
) -> Decision:
    question = Question(text, earlier)
    return decide(
        route,
        TIERS,
        model="gpt-x",
        question=question,
        forced=forced,
        policy=policy,
        is_up=lambda target: target not in down,
    )


def test_a_route_to_an_upstream_keeps_the_clients_model() -> None:
    sent = choose(route=Route(name="r", upstream="openai"))
    assert sent == Decision((Target("openai", "gpt-x"),), "none", "upstream")


@pytest.mark.parametrize("tier", ["cheap", "expensive"])
def test_a_fixed_tier_is_the_operators_word_even_against_the_header(tier: Tier) -> None:
    other: Tier = "expensive" if tier == "cheap" else "cheap"
    assert choose(route=Route(name="r", tier=tier), forced=other) == Decision(TIERS[tier], tier, "fixed")


def test_the_header_picks_the_tier_of_an_auto_route() -> None:
    assert choose("a hard question", forced="cheap") == Decision((MINI,), "cheap", "header", compare_with=LARGE)


def test_a_tier_that_is_not_configured_cannot_be_asked_for() -> None:
    with pytest.raises(NotAllowed, match="Tier 'cheap' is not configured"):
        decide(AUTO, {"expensive": (LARGE,)}, model="gpt-x", forced="cheap")


def test_an_easy_question_goes_cheap_and_a_hard_one_up() -> None:
    easy, hard = choose("an easy question"), choose("a hard question")
    assert (easy.tier, easy.targets, easy.reason) == ("cheap", (MINI,), "classifier")
    assert (hard.tier, hard.targets, hard.reason) == ("expensive", (LARGE, SPARE), "classifier")
    assert easy.compare_with == hard.compare_with == LARGE
    assert easy.probability == CLASSIFIER.probability("an easy question")


def test_a_probability_at_the_threshold_goes_up() -> None:
    p = CLASSIFIER.probability("an easy question")
    assert choose(policy=replace(POLICY, threshold=p)).tier == "expensive"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "unfamiliar"), (" \n\t", "unfamiliar"), ("xyzzy plugh frotz", "unfamiliar"), ("простой вопрос", "foreign")],
)
def test_what_the_classifier_does_not_know_goes_up_whatever_its_probability(text: str, reason: str) -> None:
    decision = choose(text, policy=replace(POLICY, threshold=1.0))
    assert (decision.tier, decision.reason) == ("expensive", reason)


def test_a_conversation_that_went_up_stays_up() -> None:
    decision = choose("an easy question", "an easy question", "a hard question")
    assert (decision.tier, decision.reason) == ("expensive", "conversation")
    assert choose("an easy question", "an easy question").tier == "cheap"


def test_a_route_that_is_not_sticky_judges_each_question_alone() -> None:
    assert choose("an easy question", "a hard question", policy=replace(POLICY, is_sticky=False)).tier == "cheap"


@pytest.mark.parametrize(
    ("down", "tier", "reason"),
    [
        ((LARGE,), "expensive", "classifier"),
        ((LARGE, SPARE), "cheap", "health"),
        ((LARGE, SPARE, MINI), "expensive", "classifier"),
    ],
)
def test_a_tier_that_is_down_gives_way_to_one_that_is_up(down: tuple[Target, ...], tier: str, reason: str) -> None:
    decision = choose("a hard question", down=down)
    assert (decision.tier, decision.reason, decision.targets) == (
        tier,
        reason,
        TIERS["cheap" if tier == "cheap" else "expensive"],
    )


def test_a_rule_decides_before_the_classifier_and_names_itself() -> None:
    decision = choose("an easy question: REFUNDS?", policy=replace(POLICY, rules=REFUNDS))
    assert (decision.tier, decision.reason, decision.probability) == ("expensive", "rule", None)
    assert decision.rule == "always_expensive.keywords: refunds"


def test_a_rule_that_once_sent_a_conversation_up_keeps_it_there() -> None:
    decision = choose("an easy question", "please cancel it", policy=replace(POLICY, rules=REFUNDS))
    assert (decision.tier, decision.reason) == ("expensive", "conversation")


def test_an_always_cheap_rule_holds_in_any_conversation() -> None:
    short = Rules.of(RulesConfig(always_cheap=Always(shorter_than=10)))
    decision = choose("thanks", "a hard question", policy=replace(POLICY, rules=short))
    assert (decision.tier, decision.reason) == ("cheap", "rule")


def test_without_a_threshold_the_routes_quality_picks_one() -> None:
    assert threshold_of(Route(name="r", tier="auto", router=Router(quality=0.8)), CLASSIFIER) == 0.6
    assert threshold_of(AUTO, CLASSIFIER) == 0.0
    assert threshold_of(Route(name="r", tier="auto", router=Router(threshold=1.0)), CLASSIFIER) == 1.0
