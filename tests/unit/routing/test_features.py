import pytest

from gateway.routing.features import MAX_CHARS, SURFACE, extract, split


def surface(text: str) -> dict[str, float]:
    return dict(zip(SURFACE, extract(text).surface, strict=True))


def test_terms_are_lower_cased_words_and_their_neighbours() -> None:
    seen = extract("What is 2+2, Really?")
    assert seen.terms[: seen.words] == ["what", "is", "2", "2", "really"]
    assert seen.terms[seen.words :] == ["what is", "is 2", "2 2", "2 really"]


@pytest.mark.parametrize("text", ["plain english_words, and-more", "a1b2 c3", "", "tabs\tand\nlines"])
def test_the_table_and_the_pattern_split_ascii_alike(text: str) -> None:
    assert split(text) == split(text + " é")[:-1]


def test_words_in_other_scripts_are_words() -> None:
    assert extract("Wie heißt die Hauptstadt?").terms[1] == "heißt"
    assert surface("日本の首都は?")["non_ascii_share"] == pytest.approx(6 / 7)


def test_the_empty_text_has_features_that_are_all_zero() -> None:
    seen = extract("")
    assert seen.terms == []
    assert seen.surface == [0.0] * len(SURFACE)


def test_options_of_a_multiple_choice_question_are_measured() -> None:
    seen = surface("How many?\nA. 10\nB. 2.5\nC. none of the above\nD. -3")
    assert seen["options"] == 4
    assert seen["numeric_options"] == 0.75
    assert seen["the_above"] > 0


def test_a_lone_numbered_line_is_not_a_choice() -> None:
    assert surface("A. Smith wrote this.")["options"] == 0


def test_text_beyond_the_cap_is_not_looked_at() -> None:
    head = "word " * (MAX_CHARS // 5)
    assert extract(head + "tail " * 100_000) == extract(head)
