from typing import Any

from gateway.values import Question
from gateway.wire.question import EARLIER, question_in


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_a_question_is_the_last_one_with_those_before_it_and_the_instructions() -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        user("one"),
        {"role": "assistant", "content": "two"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        user("three"),
    ]
    assert question_in(messages, {}, b"") == Question("three", ("one",), "Be kind.\nBe brief.")


def test_only_a_few_earlier_questions_are_looked_at() -> None:
    found = question_in([user(str(n)) for n in range(50)], {}, b"")
    assert (found.text, found.earlier[0], found.earlier[-1], len(found.earlier)) == ("49", "48", "41", EARLIER)


def test_tools_and_images_are_seen_where_they_are() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    body = b'{"image_url"'
    assert question_in([image], {"tools": [{}]}, body) == Question("", has_tools=True, has_images=True)
    assert question_in([user("an image_url")], {"tools": []}, body) == Question("an image_url")


def test_nothing_asked_is_an_empty_question() -> None:
    assert question_in([], {}, b"", instructions="Be kind.") == Question("", system="Be kind.")
