import pytest
from pydantic import ValidationError

from gateway.config.model import Always
from gateway.config.model import Rules as RulesConfig
from gateway.routing.rules import Rules
from gateway.values import Question


def decide(question: Question, **rules: Always) -> tuple[str, str] | None:
    compiled = Rules.of(RulesConfig(**rules))
    assert compiled is not None
    return compiled.decide(question)


def test_no_rules_cost_nothing() -> None:
    assert Rules.of(RulesConfig()) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I want a Refund!", "refund"),
        ("how do I get my money back", "money back"),
        ("CANCELLATION of my plan", "cancellation"),
        ("refundable?", None),
        ("prefund", None),
        ("x" * 8000 + " refund", None),
    ],
)
def test_keywords_are_whole_words_in_any_case(text: str, found: str | None) -> None:
    decided = decide(Question(text), always_expensive=Always(keywords=("refund", "cancel*", "money back")))
    assert decided == (None if found is None else ("expensive", f"always_expensive.keywords: {found}"))


@pytest.mark.parametrize(
    ("always", "question"),
    [
        (Always(system=("medical",)), Question("hi", system="You are a Medical assistant.")),
        (Always(longer_than=2), Question("why")),
        (Always(shorter_than=4), Question("why")),
        (Always(tools=True), Question("why", has_tools=True)),
        (Always(images=True), Question("why", has_images=True)),
    ],
)
def test_each_condition_is_enough_alone(always: Always, question: Question) -> None:
    assert (decide(question, always_cheap=always) or ("none", ""))[0] == "cheap"


def test_what_does_not_hold_decides_nothing() -> None:
    always = Always(keywords=("medical",), system=("medical",), longer_than=9, shorter_than=2, tools=True, images=True)
    assert decide(Question("what", system="You are kind."), always_cheap=always) is None


def test_where_both_hold_it_goes_up() -> None:
    always = Always(keywords=("legal",))
    assert decide(Question("legal"), always_cheap=always, always_expensive=always) == (
        "expensive",
        "always_expensive.keywords: legal",
    )


@pytest.mark.parametrize("keyword", ["", "*", "a*b", " x", "x" * 101])
def test_a_keyword_that_could_not_match_a_word_is_refused(keyword: str) -> None:
    with pytest.raises(ValidationError):
        Always(keywords=(keyword,))
