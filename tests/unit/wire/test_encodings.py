import gzip
import sys
import zlib

import brotli
import pytest

from gateway.errors import BadRequest, BodyTooLarge
from gateway.wire.encodings import decode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = b'{"model":"gpt-5-mini"}' * 100
CODED = {
    "gzip": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    "br": brotli.compress(PLAIN),
    "zstd": zstd.compress(PLAIN),
}
ZEROS = bytes(50_000_000)
BOMBS = {
    "gzip": gzip.compress(ZEROS, 1),
    "deflate": zlib.compress(ZEROS, 1),
    "br": brotli.compress(ZEROS, quality=5),
    "zstd": zstd.compress(ZEROS),
}


@pytest.mark.parametrize("encoding", CODED)
def test_a_coded_body_is_decoded(encoding: str) -> None:
    assert decode(CODED[encoding], encoding.upper(), max_bytes=len(PLAIN)) == PLAIN


def test_codings_are_undone_in_reverse() -> None:
    assert decode(brotli.compress(CODED["gzip"]), "gzip, br", max_bytes=10_000) == PLAIN
    assert decode(PLAIN, "identity", max_bytes=10_000) == PLAIN


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(encoding: str) -> None:
    with pytest.raises(BodyTooLarge):
        decode(BOMBS[encoding], encoding, max_bytes=1_000_000)


@pytest.mark.parametrize("encoding", CODED)
@pytest.mark.parametrize("damage", ["cut", "junk", "tail", "empty"])
def test_a_damaged_body_is_refused(encoding: str, damage: str) -> None:
    body = {"cut": CODED[encoding][:-5], "junk": PLAIN, "tail": CODED[encoding] + b"x", "empty": b""}[damage]
    with pytest.raises(BadRequest, match="not one whole"):
        decode(body, encoding, max_bytes=10_000)


def test_an_unknown_coding_is_named() -> None:
    with pytest.raises(BadRequest, match="'compress' is not supported"):
        decode(PLAIN, "compress", max_bytes=10_000)
    with pytest.raises(BadRequest, match="too many"):
        decode(PLAIN, "gzip, gzip, gzip, gzip", max_bytes=10_000)
