import gzip
import sys
import zlib

import brotli
import pytest

from gateway.upstream.decode import PIECE, Broken, Decoder, decoder_for

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"".join(b"%d, " % (n * n) for n in range(20_000))
ZEROS = bytes(50_000_000)
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
FORMS = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "deflate": zlib.compress(TEXT),
    " Deflate": RAW.compress(TEXT) + RAW.flush(),
    "br": brotli.compress(TEXT, quality=5),
    "zstd": zstd.compress(TEXT),
    "ZSTD": zstd.compress(TEXT[:100]) + zstd.compress(TEXT[100:]),
}


def decoded(decoder: Decoder, *inputs: bytes) -> list[bytes]:
    pieces = []
    for data in inputs:
        decoder.push(data)
        while piece := decoder.pull():
            pieces.append(piece)
    return pieces


def new(coding: str) -> Decoder:
    decoder = decoder_for(coding)
    assert decoder is not None
    return decoder


@pytest.mark.parametrize("coding", FORMS)
@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
def test_however_it_arrives_the_text_comes_out(coding: str, step: int) -> None:
    data = FORMS[coding]
    decoder = new(coding)
    assert b"".join(decoded(decoder, *(data[at : at + step] for at in range(0, len(data), step)))) == TEXT
    assert decoder.is_finished


@pytest.mark.parametrize("coding", FORMS)
def test_a_body_that_breaks_off_is_not_finished(coding: str) -> None:
    decoder = new(coding)
    decoded(decoder, FORMS[coding][:-1])
    assert not decoder.is_finished


@pytest.mark.parametrize("coding", FORMS)
@pytest.mark.parametrize("bad", [b"this was never compressed", None])
def test_what_is_not_so_coded_is_broken(coding: str, bad: bytes | None) -> None:
    with pytest.raises(Broken):
        decoded(new(coding), bad or FORMS[coding] + b"and more")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_nothing_at_all_is_a_finished_body(coding: str) -> None:
    decoder = new(coding)
    assert decoder.pull() == b""
    assert decoder.is_finished


@pytest.mark.parametrize("bomb", [gzip.compress(ZEROS, 1), brotli.compress(ZEROS, quality=5), zstd.compress(ZEROS)])
def test_a_bomb_comes_out_in_pieces(bomb: bytes) -> None:
    coding = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(bomb[:2], "br")
    pieces = decoded(new(coding), bomb)
    assert sum(map(len, pieces)) == len(ZEROS)
    assert max(map(len, pieces)) <= 2 * PIECE


def test_a_window_larger_than_the_coding_allows_is_refused() -> None:
    options = {int(zstd.CompressionParameter.window_log): 27}
    with pytest.raises(Broken):
        decoded(new("zstd"), zstd.compress(TEXT * 200, options=options))


@pytest.mark.parametrize("coding", ["compress", "gzip, br", "identity"])
def test_other_codings_are_not_known(coding: str) -> None:
    assert decoder_for(coding) is None
