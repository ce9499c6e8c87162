import pytest

from gateway.routing.features import LEVELS, MAX_CHARS, SURFACE, extract, foreign_share, split


def surface(text: str) -> dict[str, int]:
    return dict(zip(SURFACE, extract(text).surface, strict=True))


def test_words_are_lower_cased_runs_of_letters_and_digits_each_once() -> None:
    assert extract("What is 2+2, Really? what").words == {b"what", b"is", b"2", b"really"}


@pytest.mark.parametrize("text", ["plain English_words, and-more", "a1b2 C3", "", "tabs\tand\nlines", "\x1cx\x85y"])
def test_the_table_and_the_pattern_split_ascii_alike(text: str) -> None:
    ascii_only = text.encode("ascii", "ignore")
    assert split(ascii_only) == split(ascii_only + " é".encode())[:-1]


def test_words_in_other_scripts_are_words() -> None:
    assert "heißt".encode() in extract("Wie heißt die Hauptstadt?").words
    assert extract("“quoted”").words == {b"quoted"}
    assert foreign_share("日本の首都は?") == pytest.approx(18 / 19)
    assert foreign_share("plain") == foreign_share("") == 0.0


def test_the_empty_text_has_features_that_are_all_zero() -> None:
    seen = extract("")
    assert (seen.words, seen.surface) == (set(), [0] * len(SURFACE))


def test_counts_rise_by_28_levels_when_they_grow_2_7_fold() -> None:
    levels = [surface("?" * count)["question_marks"] for count in (0, 1, 3, 8000)]
    assert levels == [0, 19, 39, 252]


def test_options_of_a_multiple_choice_question_are_measured() -> None:
    seen = surface("How many?\nA. 10\nB. 2.5\nC. None of the above\nD. -3")
    assert (seen["options"], seen["option_numbers"], seen["option_capitals"]) == (4, 50, 25)
    assert seen["decimals"] == 19
    assert seen["question_length"] < seen["characters"]


def test_a_lone_numbered_line_is_not_a_choice() -> None:
    assert surface("A. Smith wrote this.\nReally.")["options"] == 0


def test_text_beyond_the_cap_is_not_looked_at() -> None:
    head = "word " * (MAX_CHARS // 5)
    assert extract(head + "tail " * 100_000) == extract(head)


@pytest.mark.parametrize(
    "text", ["\ud800", "\0" * 9000, "é" * 9000, "1" * 9000, "A.\nB.\n", "A. x\nB. y\n" * 2000, "x" * 9000, "\n" * 9000]
)
def test_levels_stay_within_their_range(text: str) -> None:
    assert all(0 <= level < LEVELS for level in extract(text).surface)
