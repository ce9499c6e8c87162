"""The optional encoder counts what tiktoken counts."""

import random

import pytest

from gateway.app import lasting_things
from gateway.assembly import opened
from gateway.config.process import Server
from gateway.errors import ConfigError
from gateway.tokens.encodings import FAST_CHARS, Encodings, FastEncoder
from tests.support.config import SMALL, read
from tests.support.token_rows import rows
from tests.support.tokens import encodings

pytest.importorskip("toktok", reason="the [fast] extra is not installed")


@pytest.fixture(scope="module")
def fast() -> Encodings:
    return Encodings(is_fast=True)


def corpus() -> list[str]:
    """Texts of every recorded request over the length from which it is used, and made-up ones of all scripts."""
    texts = [row.request.body.decode() for row in rows() if len(row.request.body) > FAST_CHARS]
    rng = random.Random(3)
    ranges = [(0x20, 0x7F), (0xA0, 0x24F), (0x400, 0x52F), (0x900, 0x97F), (0x4E00, 0x9FFF), (0x1F300, 0x1F64F)]
    for low, high in ranges:
        words = ("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 9))) for _ in range(1000))
        texts.append(" ".join(words))
    texts += [unit * 3000 for unit in ("a", " ", "\n", "/\n", "!", "'s", "12", "<|endoftext|>", "\u0301")]
    return texts


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_both_encoders_count_alike(fast: Encodings, name: str) -> None:
    theirs, ours = fast.load_here(name), encodings().load_here(name)
    for text in corpus():
        assert theirs.count(text) == ours.count(text), text[:80]


def test_lone_surrogates_are_left_to_tiktoken(fast: Encodings) -> None:
    text = "x \ud800 " * FAST_CHARS
    assert fast.load_here("o200k_base").count(text) == encodings().load_here("o200k_base").count(text)


def test_the_configuration_chooses_the_encoder() -> None:
    chosen = opened.encodings(Server(encoder="toktok")).load_here()
    assert isinstance(chosen, FastEncoder)


async def test_an_encoder_that_is_not_installed_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.assembly.opened.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        async with lasting_things(read(f"server: {{encoder: toktok}}\n{SMALL}").config.server):
            pass
    told = "server.encoder: toktok is not installed: pip install 'llm-gateway[fast]', or use tiktoken"
    assert caught.value.problems == [told]
