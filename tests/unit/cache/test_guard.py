"""Questions that must never share an answer, and some that may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.guard import MOST_CHARS, difference, marks_of, may_share, signs_of

PAIRS_APART = [
    # negations
    ("Is aspirin safe for a dog?", "Is aspirin unsafe for a dog?", "negation"),
    ("Is it safe to swim here?", "Is it not safe to swim here?", "negation"),
    ("Is it safe to swim here?", "Isn't it safe to swim here?", "negation"),
    ("Which foods can I eat?", "Which foods can't I eat?", "negation"),
    ("Which foods can I eat?", "Which foods can\u2019t I eat?", "negation"),
    ("Which foods can I eat?", "Which foods cannot I eat?", "negation"),
    ("Does the plan cover dental work?", "Does the plan never cover dental work?", "negation"),
    ("How do I fly with a visa?", "How do I fly without a visa?", "logic"),
    ("What is a valid form of payment?", "What is an invalid form of payment?", "negation"),
    ("What are the causes of sugar free coffee taste?", "What are the causes of coffee taste?", "negation"),
    ("What is a lossless picture format?", "What is a lossy picture format?", "opposites"),
    ("When do birds migrate here unless it rains?", "When do birds migrate here if it rains?", "logic"),
    ("Which foods can i eat?", "Which foods cant i eat?", "negation"),
    ("is it true that dogs bite", "isnt it true that dogs bite", "negation"),
    # what narrows a question
    ("Can I take aspirin now?", "Can I take aspirin with wine now?", "logic"),
    ("Is aspirin safe here?", "Is aspirin safe here for children?", "logic"),
    ("Is it fine to drive?", "Is it fine to drive while drunk?", "logic"),
    ("What is the rent like?", "What is the rent like in winter?", "calendar"),
    # who does what to whom
    ("How do I get from Rome to Paris?", "How do I get from Paris to Rome?", "names"),
    ("how do i get from rome to paris", "how do i get from paris to rome", "word_order"),
    ("does the dog bite the man", "does the man bite the dog", "word_order"),
    ("What is the tax in the house of a friend?", "What is the house in the tax of a friend?", "word_order"),
    ("How much do I owe you?", "How much do you owe me?", "persons"),
    ("What is my balance?", "What is your balance?", "persons"),
    ("How do I convert celsius to fahrenheit?", "How do I convert fahrenheit to celsius?", "units"),
    ("Who bought the company?", "Who sold the company?", "opposites"),
    ("How do I enable logging?", "How do I disable logging?", "opposites"),
    ("How do I open an account?", "How do I close an account?", "opposites"),
    ("How are rates increased?", "How are rates decreased?", "opposites"),
    # order and comparison
    ("What should I eat before a run?", "What should I eat after a run?", "order"),
    ("Is tea healthier than coffee?", "Is tea as healthy as coffee?", "logic"),
    ("What happens before lunch and after dinner?", "What happens after lunch and before dinner?", "order"),
    ("Which is the largest planet of all?", "Which is the smallest planet of all?", "order"),
    ("What is the first step of it?", "What is the last step of it?", "order"),
    ("What is the maximum dose here?", "What is the minimum dose here?", "order"),
    ("Who has more seats?", "Who has fewer seats?", "order"),
    ("What is above the line?", "What is below the line?", "order"),
    # numbers, however they are written
    ("What is 15 percent of 80?", "What is 50 percent of 80?", "numbers"),
    ("What is 15 percent of 80?", "What is 80 percent of 15?", "numbers"),
    ("Can I return it within thirty days?", "Can I return it within sixty days?", "numbers"),
    ("What is ٣ plus four?", "What is ٤ plus four?", "numbers"),
    ("Is it -5 degrees outside?", "Is it 5 degrees outside?", "numbers"),
    ("What is 1.5 times that?", "What is 15 times that?", "numbers"),
    ("Do I take it once a day?", "Do I take it twice a day?", "numbers"),
    ("Who came second there?", "Who came third there?", "numbers"),
    ("Is it half of the price?", "Is it a quarter of the price?", "numbers"),
    ("What is x² for this one?", "What is x³ for this one?", "names"),
    # names, identifiers, quotes, code
    ("Where was Marie Curie born?", "Where was Pierre Curie born?", "names"),
    ("Paris is the capital of what?", "Rome is the capital of what?", "names"),
    ("What does os.path.join do?", "What does os.path.split do?", "names"),
    ("What does max_tokens do?", "What does min_tokens do?", "names"),
    ("Is iOS better than ANDROID?", "Is ANDROID better than iOS?", "names"),
    ("Who is O'Brien to us?", "Who is O'Neill to us?", "names"),
    ("What is at https://a.example/x for me?", "What is at https://b.example/x for me?", "names"),
    ("How do I sort with python3 here?", "How do I sort with python2 here?", "names"),
    ("How good is a naïve guess?", "How good is a naive guess?", "names"),
    ('What does "ciao" mean?', 'What does "addio" mean?', "quoted"),
    ("What does `a = b` do?", "What does `b = a` do?", "quoted"),
    ("What is 'foo bar' in this?", "What is 'bar foo' in this?", "quoted"),
    ("What does “ciao” mean?", "What does «addio» mean?", "quoted"),
    # time and measure
    ("What is open today then?", "What is open tomorrow then?", "calendar"),
    ("Is the shop open on mondays?", "Is the shop open on fridays?", "calendar"),
    ("What is due in May?", "What is due in June?", "names"),
    ("Is a mile long for it?", "Is a kilometer long for it?", "units"),
    ("Does it cost a dollar there?", "Does it cost a euro there?", "units"),
    ("Is it $ 5 for that?", "Is it € 5 for that?", "signs"),
    ("Is 3 + 4 what I think?", "Is 3 * 4 what I think?", "signs"),
    # what is asked, and in which mode
    ("Who is the president?", "Where is the president?", "asked"),
    ("Who is the president?", "Who was the president?", "mode"),
    ("How can I pay the bill?", "How should I pay the bill?", "mode"),
    ("How much is it to join?", "How many is it to join?", "order"),
    ("Can I have tea and milk?", "Can I have tea or milk?", "logic"),
    ("Are all birds able to sing?", "Are some birds able to sing?", "logic"),
    ("Can I pay only by card?", "Can I pay by card?", "logic"),
    ("Is this a well-known fact?", "Is this a little-known fact?", "compounds"),
]

PAIRS_UNCLEAR = [
    ("今日の天気は何ですか", "明日の天気は何ですか"),
    ("Ist das Mittel für Hunde sicher?", "Ist das Mittel für Hunde nicht sicher?"),
    ("¿Es seguro para los perros?", "¿No es seguro para los perros?"),
    ("Est-ce que c'est sans danger?", "Est-ce que c'est un danger?"),
    ("Безопасно ли это?", "Небезопасно ли это?"),
    ("Is it s\u0430fe to do so?", "Is it safe to do so?"),  # a Cyrillic letter
    ("Is it safe\u200b to do so?", "Is it safe to do so?"),
    ("Is it \u202esafe to do so?", "Is it safe to do so?"),
    ("safe?", "unsafe?"),
    ("Is it safe? Is it cheap?", "Is it safe? Is it dear?"),
    ("Is it safe to do this:\nrm -rf /", "Is it safe to do this:\nls"),
    ("what is " + "very " * 100 + "good", "what is " + "very " * 100 + "bad"),
]

PAIRS_ALIKE = [
    ("How do I reset my password?", "how can I reset my password please"),
    ("What is the capital of France?", "Please tell me: what's the capital of France?"),
    ("What does the warranty cover?", "Hi, can you tell me what the warranty does cover?"),
    ("How is a bill paid online?", "How to pay a bill online?"),
    ("What is 2 plus two?", "What is two plus \uff12?"),
    ("Why is the sky blue?", "Why does the sky look blue?"),
    ("Isn\u2019t it good to walk?", "Is it not good to walk?"),
    ("Who won the cup in 1998?", "In 1998, who won the cup?"),
]


@pytest.mark.parametrize(("one", "other", "why"), PAIRS_APART)
def test_what_decides_an_answer_keeps_questions_apart(one: str, other: str, why: str) -> None:
    assert difference(one, other) == difference(other, one) == why
    first, second = marks_of(one), marks_of(other)
    assert first is not None
    assert second is not None
    assert not may_share(first, second)


@pytest.mark.parametrize(("one", "other"), PAIRS_UNCLEAR)
def test_what_cannot_be_judged_shares_nothing(one: str, other: str) -> None:
    assert marks_of(one) is None or marks_of(other) is None
    assert difference(one, other) == "unclear"


@pytest.mark.parametrize(("one", "other"), PAIRS_ALIKE)
def test_the_same_question_in_other_words_may_share(one: str, other: str) -> None:
    assert difference(one, other) is None
    first, second = marks_of(one), marks_of(other)
    assert first is not None
    assert second is not None
    assert may_share(first, second)


def test_signs_are_told_by_kind_and_in_their_order() -> None:
    assert signs_of("How do I get from Rome to Paris in 3 hours, before noon?") == {
        "asked": ("how",),
        "persons": ("i",),
        "logic": ("from", "in"),
        "names": ("Rome", "Paris"),
        "numbers": ("3",),
        "calendar": ("hour", "noon"),
        "order": ("before",),
    }


def test_marks_hold_no_words() -> None:
    marks = marks_of("How do I get from Rome to the secret bunker?")
    assert marks is not None
    assert "bunker" not in repr(marks)
    assert "Rome" not in repr(marks)


@given(st.text(max_size=MOST_CHARS + 10))
def test_any_text_is_judged_or_refused_and_alike_to_itself(text: str) -> None:
    marks = marks_of(text)
    assert marks is None or may_share(marks, marks)


@given(
    st.sampled_from(["is it safe to eat this", "what is the best way to pay"]), st.sampled_from(["not", "never", "7"])
)
def test_a_word_that_decides_makes_another_question_wherever_it_stands(text: str, word: str) -> None:
    words = text.split()
    for at in range(1, len(words) + 1):
        changed = " ".join([*words[:at], word, *words[at:]])
        assert difference(text, changed) is not None
