from typing import Any

import pytest

from gateway.tokens.part import Part
from gateway.tokens.texts import completion_parts, embedding_parts


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hi", [Part("input", ("hi",))]),
        (["a", "b"], [Part("input", ("a", "b"))]),
        ([1, 2, 3], [Part("input", (), 3)]),
        ([[1, 2], [3]], [Part("input", (), 3)]),
        (None, []),
        (5, []),
    ],
)
def test_embeddings_are_strings_or_token_ids(value: Any, expected: list[Part]) -> None:
    assert list(embedding_parts({"input": value}, "text-embedding-3-small")) == expected


def test_a_completions_suffix_is_part_of_its_prompt() -> None:
    assert list(completion_parts({"prompt": "a", "suffix": "z"}, "gpt-3.5-turbo-instruct")) == [
        Part("prompt", ("a",)),
        Part("suffix", ("z",)),
    ]
