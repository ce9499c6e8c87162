"""Width and height of an inline image from the first bytes of its file; no pixel is decoded."""

import binascii
import struct

_HEAD_CHARS = 65_536
"""A JPEG's size stands behind its metadata and thumbnail, rarely further in than this much base64."""

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers: C0 to CF but for tables (DHT, JPG, DAC)."""


def data_url_size(url: str) -> tuple[int, int] | None:
    """(width, height) of the PNG, JPEG, GIF or WebP in a `data:…;base64,…` URL; None when it cannot be told."""
    if not url.startswith("data:"):
        return None
    start = url.find(",", 0, 200) + 1
    head = url[start : start + _HEAD_CHARS]
    try:
        return image_size(binascii.a2b_base64(head[: len(head) // 4 * 4]))
    except (ValueError, struct.error, IndexError):
        return None


def image_size(head: bytes) -> tuple[int, int] | None:
    """The same from the file's first bytes."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _pair(">II", head, 16)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", head, 6)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp_size(head)
    return None


def _pair(form: str, head: bytes, offset: int) -> tuple[int, int]:
    width, height = struct.unpack_from(form, head, offset)
    return width, height


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker in _JPEG_SIZES:
            height, width = _pair(">HH", head, at + 5)
            return width, height
        is_bare = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 1 if marker == 0xFF else 2 if is_bare else 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    chunk = head[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = _pair("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
