"""Undoing a content coding piece by piece, never more at once than was asked for.

The gateway asks upstreams for `identity`, but some compress all the same. A few compressed
kilobytes can stand for gigabytes, so a decoder hands out bounded pieces and holds back the rest.
"""

import sys
import zlib
from abc import ABC, abstractmethod

import brotli

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

PIECE = 1 << 18
"""About the most that one `pull` returns; Brotli doubles it."""


_ZSTD_WINDOW_LOG = 23
"""8 MB, all that RFC 9659 lets a sender of the `zstd` coding demand; the library would give 128."""


class Broken(Exception):
    """The data is not what its coding says."""


class Decoder(ABC):
    def __init__(self) -> None:
        self._input = b""
        self._has_begun = False

    def push(self, data: bytes) -> None:
        """Take in more of the coded body; only once `pull` returns nothing."""
        self._input += data
        self._has_begun = True

    @abstractmethod
    def pull(self) -> bytes:
        """The next piece of the decoded body; empty when more input is needed. Raises Broken."""

    @property
    def is_finished(self) -> bool:
        """Has the coded body come to a proper end? No body at all is fine too, whatever its coding."""
        return self._has_ended() or not self._has_begun

    @abstractmethod
    def _has_ended(self) -> bool: ...


def decoder_for(content_encoding: str) -> Decoder | None:
    """A decoder for the header's value; None for a coding, or a pile of codings, that we do not know."""
    coding = content_encoding.strip().lower()
    if coding in ("gzip", "x-gzip", "deflate"):
        return _Zlib(is_gzip=coding != "deflate")
    if coding == "br":
        return _Brotli()
    if coding == "zstd":
        return _Zstd()
    return None


class _Zlib(Decoder):
    """gzip, of several members if need be, and deflate with or without its zlib wrapper: servers send both."""

    def __init__(self, *, is_gzip: bool) -> None:
        super().__init__()
        self._is_gzip = is_gzip
        self._stream: zlib._Decompress | None = None

    def pull(self) -> bytes:
        while self._input:
            if self._stream is None or self._stream.eof:
                self._stream = self._next_member()
            try:
                piece = self._stream.decompress(self._input, PIECE)
            except zlib.error as error:
                raise Broken(str(error)) from None
            self._input = self._stream.unused_data or self._stream.unconsumed_tail
            if piece:
                return piece
        return b""

    def _next_member(self) -> "zlib._Decompress":
        if self._is_gzip:
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        if self._stream is not None:
            raise Broken("data after its end")
        has_wrapper = self._input[0] & 0x0F == 8  # RFC 1950: compression method 8; in raw deflate it would be reserved
        return zlib.decompressobj(zlib.MAX_WBITS if has_wrapper else -zlib.MAX_WBITS)

    def _has_ended(self) -> bool:
        return self._stream is not None and self._stream.eof and not self._input


class _Brotli(Decoder):
    def __init__(self) -> None:
        super().__init__()
        self._stream = brotli.Decompressor()

    def pull(self) -> bytes:
        data = b""
        if self._stream.can_accept_more_data():
            data, self._input = self._input, b""
        try:  # also without input: only an empty piece says that nothing is held back
            piece: bytes = self._stream.process(data, output_buffer_limit=PIECE)
        except brotli.error as error:
            raise Broken(str(error)) from None
        return piece

    def _has_ended(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstd(Decoder):
    """Frame after frame, as RFC 8878 allows."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = _zstd_frame()

    def pull(self) -> bytes:
        while self._input or not (self._stream.needs_input or self._stream.eof):
            if self._stream.eof:
                self._stream = _zstd_frame()
            data, self._input = self._input, b""
            try:
                piece = self._stream.decompress(data, PIECE)
            except ZstdError as error:
                raise Broken(str(error)) from None
            if self._stream.eof:
                self._input = self._stream.unused_data
            if piece:
                return piece
        return b""

    def _has_ended(self) -> bool:
        return self._stream.eof and not self._input


def _zstd_frame() -> ZstdDecompressor:
    return ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})
