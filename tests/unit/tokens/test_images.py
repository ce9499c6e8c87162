import base64
import struct

import pytest

from gateway.tokens.image_size import data_url_size, image_size
from gateway.tokens.images import image_tokens
from tests.support.token_rows import png_url

JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xdb\x00\x05\x00\x01\x02\xff\xff\xc2\x00\x11\x08" + struct.pack(">HH", 301, 400) + b"\x03"
)


@pytest.mark.parametrize(
    ("size", "detail", "tokens"),
    [
        ((1024, 1024), "high", 765),
        ((2048, 4096), None, 1105),
        ((4096, 8192), "low", 85),
        ((1, 1), None, 255),
        ((512, 512), "auto", 255),
        ((513, 512), "auto", 425),
    ],
)
def test_tiles_cost_what_the_documentation_says(size: tuple[int, int], detail: str | None, tokens: int) -> None:
    assert image_tokens("gpt-4o", size, detail, is_chat=True) == (tokens, "exact")


def test_models_differ_in_base_and_tile() -> None:
    assert image_tokens("gpt-4o-mini", (1, 1), None, is_chat=True) == (8500, "exact")
    assert image_tokens("gpt-5", (512, 512), None, is_chat=False) == (210, "exact")
    assert image_tokens("o1", (512, 512), None, is_chat=False) == (225, "exact")


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4.1-mini", (1024, 1024), 1659),
        ("gpt-4.1-mini", (1800, 2400), 2353),
        ("gpt-5-mini", (400, 301), 156),
        ("gpt-5-mini", (768, 1024), 922),
        ("gpt-5-mini", (2048, 768), 1844),
        ("gpt-5-nano", (32, 32), 2),
        ("o4-mini", (1024, 1024), 1762),
        ("gpt-5.2", (1280, 720), 1104),
    ],
)
def test_patches_cost_a_factor_each(model: str, size: tuple[int, int], tokens: int) -> None:
    assert image_tokens(model, size, None, is_chat=False) == (tokens, "fitted")
    assert image_tokens(model, size, None, is_chat=True) == (tokens + 1, "fitted")


def test_an_unknown_size_is_the_most_that_any_could_cost() -> None:
    assert image_tokens("gpt-4o", None, None, is_chat=True) == (1445, "bound")
    assert image_tokens("gpt-5-mini", None, None, is_chat=False) == (1844, "bound")
    assert image_tokens("gpt-4o", None, "low", is_chat=True) == (85, "exact")


@pytest.mark.parametrize(
    "head",
    [
        base64.b64decode(png_url(400, 301).partition(",")[2]),
        JPEG,
        b"GIF89a" + struct.pack("<HH", 400, 301),
        b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00" + b"\x8f\x01\x00" + b"\x2c\x01\x00",
        b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + (399 | 300 << 14).to_bytes(4, "little"),
        b"RIFF\x00\x00\x00\x00WEBPVP8 \x00\x00\x00\x00\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 400, 301),
    ],
)
def test_sizes_are_read_from_the_head_of_a_file(head: bytes) -> None:
    assert image_size(head) == (400, 301)


@pytest.mark.parametrize("cut", range(len(JPEG)))
def test_a_cut_file_has_no_size(cut: int) -> None:
    assert image_size(JPEG[:cut]) is None or cut >= len(JPEG) - 1


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.png",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,",
        "data:image/png;base64,iVBORw0KGgo=",
        "",
    ],
)
def test_what_is_no_inline_image_has_no_size(url: str) -> None:
    assert data_url_size(url) is None
