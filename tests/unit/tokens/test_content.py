from typing import Any

import pytest

from gateway.tokens.content import Content, content_of
from tests.support.token_rows import png_url


@pytest.mark.parametrize(("value", "texts"), [("hi", ["hi"]), (None, []), (5, []), ([], [])])
def test_plain_content(value: Any, texts: list[str]) -> None:
    assert content_of(value, "gpt-4o", is_chat=True) == Content(texts)


def test_an_image_in_either_spelling() -> None:
    url = png_url(512, 512)
    chat = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    response = [{"type": "input_image", "image_url": url, "detail": "low"}]
    assert content_of(chat, "gpt-4o", is_chat=True) == Content([], 85, "exact")
    assert content_of(response, "gpt-4o", is_chat=False) == Content([], 85, "exact")


def test_audio_and_files_are_bounded_by_their_bytes() -> None:
    audio = [{"type": "input_audio", "input_audio": {"data": "A" * 4_000, "format": "mp3"}}]
    file = [{"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 3_972}}]
    text = [{"type": "input_file", "file_data": "data:text/plain;base64," + "A" * 3_977}]
    assert content_of(audio, "gpt-4o", is_chat=True) == Content([], 7, "bound")
    assert content_of(file, "gpt-4o", is_chat=True) == Content([], 187, "bound")
    assert content_of(text, "gpt-4o", is_chat=False) == Content([], 750, "bound")


def test_an_unseen_file_is_a_thousand() -> None:
    assert content_of([{"type": "file", "file": {"file_id": "file-1"}}], "gpt-4o", is_chat=True) == Content(
        [], 1000, "bound"
    )


def test_a_refusal_is_text() -> None:
    assert content_of([{"type": "refusal", "refusal": "No."}], "gpt-4o", is_chat=True) == Content(["No."])
