"""The shipped rank files, and what is built from them."""

import hashlib
import zlib
from typing import Any

import pytest
from tiktoken_ext import openai_public

from gateway.tokens.encodings import SHAPES, Encodings, read_ranks
from tests.support.ranks import packed, published
from tests.support.tokens import encodings


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_ranks_patterns_and_special_tokens_are_tiktokens_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected: dict[str, str] = {}

    def note_instead_of_fetching(url: str, expected_hash: str) -> dict[bytes, int]:
        expected[url] = expected_hash
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", note_instead_of_fetching)
    theirs: dict[str, Any] = getattr(openai_public, name)()
    assert list(expected.values()) == [hashlib.sha256(published(list(read_ranks(name)))).hexdigest()]
    assert SHAPES[name].pattern == theirs["pat_str"]
    assert SHAPES[name].special_tokens == theirs["special_tokens"]


def test_a_packed_rank_file_unpacks_to_what_was_published() -> None:
    tokens = [b"a", b"\x00\n", b" hello"]
    lengths, joined = b"\x01\x02\x06", b"a\x00\n hello"
    assert zlib.decompress(packed(published(tokens))) == b"\x03\x00\x00\x00" + lengths + joined


def test_ranks_are_complete() -> None:
    ranks = read_ranks("o200k_base")
    assert len(ranks) == 199_998
    assert ranks[b" hello"] == 40_617


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("o200k_base", 7), ("cl100k_base", 7)],
)
def test_special_tokens_in_text_are_ordinary_characters(name: str, tokens: int) -> None:
    encoder = encodings().load_here(name)
    assert encoder.count("<|endoftext|>") == tokens


def test_a_lone_surrogate_counts_as_a_replacement_character() -> None:
    encoder = encodings().load_here("o200k_base")
    assert encoder.count("a \ud800 b") == encoder.count("a \ufffd b")


async def test_an_encoding_is_built_once() -> None:
    fresh = Encodings()
    assert fresh.get("cl100k_base") is None
    first = await fresh.load("cl100k_base")
    assert await fresh.load("cl100k_base") is first
    assert fresh.get("cl100k_base") is first
