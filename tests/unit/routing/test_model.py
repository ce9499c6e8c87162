from math import exp, sqrt

import orjson
import pytest

from gateway.errors import ConfigError
from gateway.routing.model import Classifier, checksum_of, dump, parse
from tests.support.routing import tiny_document


def test_a_probability_is_what_one_computes_by_hand() -> None:
    # `a`, `hard`, `question` and `hard question` are known: idf 1, 2, 1, 4; `a hard` is not.
    norm = sqrt(1 + 4 + 1 + 16)
    score = (2 * 3.0 + 4 * 1.0) / norm
    assert Classifier(tiny_document()).probability("A hard question") == pytest.approx(1 / (1 + exp(-score)), abs=1e-12)


def test_a_repeated_word_counts_once() -> None:
    classifier = Classifier(tiny_document())
    assert classifier.probability("hard x hard x hard") == classifier.probability("hard")


def test_a_text_without_any_known_word_gets_the_base_rate_and_is_unfamiliar() -> None:
    verdict = Classifier(tiny_document()).judge("xyzzy")
    assert (verdict.probability, verdict.is_familiar) == (0.5, False)


@pytest.mark.parametrize("text", ["", "\ud800", "\0" * 9000, "é" * 9000, "1" * 100_000])
def test_any_string_gets_a_probability(text: str) -> None:
    assert 0 <= Classifier(tiny_document()).probability(text) <= 1


@pytest.mark.parametrize(
    ("quality", "threshold"), [(0.5, 0.6), (0.8, 0.6), (0.85, 0.4), (0.9, 0.4), (0.91, 0.0), (1.0, 0.0)]
)
def test_a_quality_between_two_rows_takes_the_stricter_and_beyond_all_everything_goes_up(
    quality: float, threshold: float
) -> None:
    assert Classifier(tiny_document()).threshold(quality) == threshold


def test_the_strongest_feature_comes_first_with_its_contribution() -> None:
    norm = sqrt(1 + 4 + 1 + 16)
    first, second = Classifier(tiny_document()).strongest("a hard question", 2)
    assert (first[0], second[0]) == ('"hard"', '"hard question"')
    assert [first[1], second[1]] == pytest.approx([6 / norm, 4 / norm])


def test_a_document_survives_the_file() -> None:
    assert parse(dump(tiny_document()), name="m.json") == tiny_document()


def changed(**fields: object) -> bytes:
    """The tiny model's file with some fields replaced and its checksum made right again."""
    document = orjson.loads(dump(tiny_document())) | fields
    del document["checksum"]
    return orjson.dumps(document | {"checksum": checksum_of(document)})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "m.json: not a router model: "),
        (b"\x80\x04pickle", "m.json: not a router model: "),
        (dump(tiny_document())[:-40], "m.json: not a router model: "),
        (b'{"weights": [1]}', 'm.json: not a router model: expected an object with "format"'),
        (changed(schema_version=7), "m.json: schema_version 7 is not 1"),
        (dump(tiny_document()).replace(b'"easy"', b'"lazy"'), "m.json: the checksum does not match"),
        (changed(features_version=0), "was trained on other features"),
        (changed(kinds=["a", "b"]), "expected one gate and one need intercept for each of 2 kinds"),
        (changed(thresholds=[]), "thresholds: expected at least one row"),
        (changed(known_words_min="many"), "m.json: known_words_min: Input should be a valid number"),
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
