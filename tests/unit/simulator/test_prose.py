import random

import pytest

from gateway.simulator.prose import answer, keywords, names


@pytest.mark.parametrize("prompt", ["", "Hi", "¿Qué tal?", "Why is the sky blue?", "x" * 100_000, "{a} {b} %s {0}"])
def test_every_prompt_gets_a_labelled_answer_that_depends_on_it_alone(prompt: str) -> None:
    first, second = (answer(prompt, random.Random(1)) for _ in range(2))
    assert first == second
    assert first.startswith("[simulated] ")
    assert first.endswith(".")


def test_an_answer_is_about_the_prompt() -> None:
    assert "photosynthesis" in answer("Explain photosynthesis, chlorophyll and sunlight.", random.Random(1)).lower()


def test_questions_with_options_get_one_of_them() -> None:
    prompt = "Which planet is largest?\nA. Mars\nB. Jupiter\nC. Venus\nAnswer:"
    assert any(f"The answer is {letter}." in answer(prompt, random.Random(1)) for letter in "ABC")


def test_who_asks_for_more_gets_more() -> None:
    brief, usual, long = (
        len(answer(prompt, random.Random(5)))
        for prompt in ("Briefly: why rain?", "Why rain?", "Explain in detail why it rains.")
    )
    assert brief < usual < long


def test_keywords_are_the_uncommon_words_once_each_in_order() -> None:
    assert keywords("What is the largest planet? Is the planet bigger than Earth? What's up") == [
        "largest",
        "planet",
        "bigger",
        "earth",
    ]


def test_names_are_capitalised_words_inside_sentences() -> None:
    assert names("Fly from Oslo to Rome. Then home. In Rome, call Maria!") == ["Oslo", "Rome", "Maria"]
