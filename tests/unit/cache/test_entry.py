"""Entries in their stored form: nothing is lost, and nothing that is not one is taken for one."""

import random
import zlib
from dataclasses import replace

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache import entry as module
from gateway.cache.entry import Entry, Stored, decode, encode
from gateway.values import Usage

ENTRY = Entry(b'{"id":"chatcmpl-1"}', "openai/gpt-4o-mini", Usage(9, 2, 1, 1, 400), 1234, 1_800_000_000.25)
VALUE = encode(Stored(ENTRY, 1_800_003_600.25))


def test_an_entry_comes_back_as_it_was() -> None:
    assert decode(VALUE) == Stored(ENTRY, 1_800_003_600.25)


def test_the_pace_of_a_stream_comes_back() -> None:
    paced = replace(ENTRY, pace=(0, 15, 40))
    assert decode(encode(Stored(paced, 1.0))) == Stored(paced, 1.0)


@given(
    st.binary(max_size=300) | st.integers(8_000, 40_000).map(lambda n: b"word " * n),
    st.none() | st.builds(Usage, *[st.integers(0, 2**40)] * 4, st.none() | st.integers(0, 2**60)),
)
def test_any_body_and_usage_come_back(body: bytes, usage: Usage | None) -> None:
    entry = Entry(body, "up/m/with/slashes", usage, 2**62, 1_800_000_000.0)
    assert decode(encode(Stored(entry, 1.0))) == Stored(entry, 1.0)


def test_long_text_is_compressed_and_noise_is_not() -> None:
    text = Entry(b"All work and no play. " * 5_000, "up/m", None, 0, 0.0)
    noise = Entry(random.Random(7).randbytes(100_000), "up/m", None, 0, 0.0)
    assert len(encode(Stored(text, 0.0))) < 2_000
    assert 100_000 < len(encode(Stored(noise, 0.0))) < 100_100


@pytest.mark.parametrize("at", range(len(VALUE)))
def test_a_damaged_byte_makes_it_a_miss(at: int) -> None:
    damaged = bytearray(VALUE)
    damaged[at] ^= 0x10
    assert decode(bytes(damaged)) is None


@pytest.mark.parametrize("length", range(len(VALUE)))
def test_a_cut_entry_is_a_miss(length: int) -> None:
    assert decode(VALUE[:length]) is None


def test_another_version_is_a_miss() -> None:
    assert decode(VALUE[:3] + b"\x01" + VALUE[4:]) is None


@given(st.binary(max_size=200))
def test_foreign_values_are_misses(value: bytes) -> None:
    assert decode(value) is None
    assert decode(b"GWC\x02" + value) is None


def forged(body: bytes, *, flags: int, body_length: int, meta: bytes = b'["up/m",null,0,0.0,0.0]') -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(meta))
    return module._HEADER.pack(b"GWC", 1, flags, len(meta), body_length, checksum) + meta + body


def test_nothing_unpacks_to_more_than_it_says() -> None:
    bomb = zstd.compress(bytes(50_000_000))
    assert len(bomb) < 10_000
    assert decode(forged(bomb, flags=1, body_length=100)) is None
    assert decode(forged(bomb, flags=1, body_length=2**32 - 1)) is None


@pytest.mark.parametrize("meta", [b"[]", b"7", b'["up/m",[1],0,0.0,0.0]', b'["up/m",7,0,0.0,0.0]', b"{"])
def test_a_meta_part_of_another_shape_is_a_miss(meta: bytes) -> None:
    assert decode(forged(b"{}", flags=0, body_length=2, meta=meta)) is None


def test_what_claims_to_be_compressed_and_is_not_is_a_miss() -> None:
    assert decode(forged(b"{}", flags=1, body_length=2)) is None
