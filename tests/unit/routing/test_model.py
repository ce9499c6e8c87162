from math import exp, sqrt

import orjson
import pytest

from gateway.errors import ConfigError
from gateway.routing.document import dump, parse, seal
from gateway.routing.model import Classifier
from tests.support.routing import tiny_document


def logistic(score: float) -> float:
    return 1 / (1 + exp(-score))


def test_a_probability_is_what_one_computes_by_hand() -> None:
    # All of `a`, `hard` and `question` are known: idf 1, 2, 1. The gate is sure of the first kind, whose only score is
    # that of `hard`; the calibration changes nothing, so the probability is the logistic function of that score.
    score = 2 * 3.0 / sqrt(1 + 4 + 1)
    assert Classifier(tiny_document()).probability("A hard question") == pytest.approx(logistic(score), abs=1e-8)


def test_a_kind_of_three_outcomes_counts_only_those_that_differ() -> None:
    # Scores 0 (better), 1 (worse) and 0 (neither): the gain is (1 - e) / (2 + e).
    gain = (1 - exp(1)) / (2 + exp(1))
    verdict = Classifier(tiny_document()).judge("spelling")
    assert verdict.kind == "language"
    assert verdict.probability == pytest.approx((1 + gain) / 2, abs=1e-8)


def test_a_repeated_word_counts_once() -> None:
    classifier = Classifier(tiny_document())
    assert classifier.probability("hard x hard x hard") == classifier.probability("hard x")


def test_a_query_that_is_like_the_training_data_raises_no_doubt() -> None:
    verdict = Classifier(tiny_document()).judge("a hard question")
    assert (verdict.doubt, verdict.is_familiar, verdict.known_words) == (None, True, 1.0)


@pytest.mark.parametrize(
    ("query", "doubt"),
    [
        ("xyzzy", "unfamiliar"),
        ("", "unfamiliar"),
        ("a hard riddle about nothing much", "unfamiliar"),
        ("a hard question " * 1000, "long"),
        ("question вопрос", "foreign"),
        ("很难的问题", "foreign"),
    ],
)
def test_a_query_that_is_not_raises_one(query: str, doubt: str) -> None:
    assert Classifier(tiny_document()).judge(query).doubt == doubt


def test_a_query_of_no_kind_in_particular_raises_doubt() -> None:
    document = tiny_document()
    gate = document.gate.model_copy(update={"intercepts": (0.1, 0.0)})
    torn = document.model_copy(
        update={"gate": gate, "limits": document.limits.model_copy(update={"gate_share_min": 0.6})}
    )
    assert Classifier(torn).judge("a hard question").doubt == "unsure"


def test_a_query_of_an_unknown_shape_is_unfamiliar_though_its_words_are_not() -> None:
    document = tiny_document()
    general, language = document.kinds
    narrow = general.model_copy(update={"spread": (0.1,) * len(general.spread)})
    assert (
        Classifier(document.model_copy(update={"kinds": (narrow, language)})).judge("a question").doubt == "unfamiliar"
    )


@pytest.mark.parametrize("text", ["", "\ud800", "\0" * 9000, "é" * 9000, "1" * 100_000, "a\n" * 9000, "A. x\nB. y"])
def test_any_string_gets_a_probability(text: str) -> None:
    assert 0 <= Classifier(tiny_document()).probability(text) <= 1
    assert 0 <= Classifier.load().probability(text) <= 1


@pytest.mark.parametrize(
    ("quality", "threshold"), [(0.5, 0.6), (0.8, 0.6), (0.85, 0.4), (0.9, 0.4), (0.91, 0.0), (1.0, 0.0)]
)
def test_a_quality_between_two_rows_takes_the_stricter_and_beyond_all_everything_goes_up(
    quality: float, threshold: float
) -> None:
    assert Classifier(tiny_document()).threshold(quality) == threshold


def test_the_strongest_feature_comes_first_with_its_contribution() -> None:
    classifier = Classifier(tiny_document())
    first, second = classifier.strongest("a hard question", 2)
    p = classifier.probability("a hard question")
    assert first[0] == '"hard"'
    assert first[1] == pytest.approx(p * (1 - p) * 6 / sqrt(6), abs=1e-6)
    assert second[1] == 0.0


def test_a_document_survives_the_file() -> None:
    assert parse(dump(tiny_document()), name="m.json") == tiny_document()


def changed(**fields: object) -> bytes:
    """The tiny model's file with some fields replaced and its checksum made right again."""
    return seal(orjson.dumps(orjson.loads(dump(tiny_document()))["model"] | fields))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "m.json: not a router model: "),
        (b"\x80\x04pickle", "m.json: not a router model: "),
        (dump(tiny_document())[:-40], "m.json: not a router model: "),
        (b'{"weights": [1]}', "m.json: not a router model: expected a file made by `gateway router train`"),
        (changed(schema_version=7), "m.json: schema_version 7 is not 2"),
        (dump(tiny_document()).replace(b'"easy"', b'"lazy"'), "m.json: the checksum does not match"),
        (changed(features_version=0), "was trained on other features"),
        (changed(kinds=[]), "m.json: kinds: Tuple should have at least 1 item"),
        (changed(gate={"terms": [], "surface": [], "intercepts": []}), "gate: expected 2 rows of weights"),
        (changed(limits={"known_words_min": 2, "gate_share_min": 0}), "m.json: limits.known_words_min: Input should"),
        (changed(calibration={"slope": "NaN", "intercept": 0}), "m.json: calibration.slope: Input should"),
        (
            changed(terms={"names": ["a"], "idf": [1e9]}),
            "m.json: terms.idf.0: Input should be less than or equal to 100",
        ),
        (changed(colour="red"), "m.json: colour: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_with_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(data, name="m.json")
    assert problem in str(refused.value)


def test_what_is_remembered_is_what_was_judged_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.routing.model.REMEMBERED", 3)
    fresh, used = Classifier.load(), Classifier.load()
    queries = [f"What is {n} plus {n}?" for n in range(10)]
    for query in queries * 2:
        assert used.judge(query) == fresh._judge(query)
        assert len(used._judged) <= 3
    long = "why? " * 1000
    assert used.judge(long) == fresh._judge(long)
    assert long not in used._judged
