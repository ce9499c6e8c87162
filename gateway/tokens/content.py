"""What a message carries: text, images, audio, files.

Text is counted; an image by its size (`images.py`); for sound and files there is no published rule, so
they are bounded by what their bytes can hold.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.tokens.image_size import data_url_size
from gateway.tokens.images import image_tokens
from gateway.tokens.part import weakest
from gateway.values import CountKind

AUDIO_BYTES_PER_TOKEN = 400
"""10 tokens a second (one recording: 44 for 4.4 s) of at least 32 kbit/s."""

FILE_BYTES_PER_TOKEN = 16
"""Two recorded PDFs cost one token for 20 and for 60 of their bytes; text files one for 4."""

TEXT_FILE_BYTES_PER_TOKEN = 4

UNSEEN_FILE = 1_000
"""A file given by its id or URL: nothing is known of it."""


class Content(NamedTuple):
    texts: list[str]
    fixed: int = 0
    kind: CountKind = "exact"


def content_of(value: Any, model: str, *, is_chat: bool) -> Content:
    """`value` is a message's `content` or a tool's `output`: a string, an array of parts, or null."""
    if isinstance(value, str):
        return Content([value])
    if not isinstance(value, list):
        return Content([])
    texts: list[str] = []
    fixed = 0
    kinds: list[CountKind] = ["exact"]
    for part in value:
        text = _text(part)
        if text is not None:
            texts.append(text)
        else:
            tokens, kind = _other(part, model, is_chat=is_chat)
            fixed += tokens
            kinds.append(kind)
    return Content(texts, fixed, weakest(kinds))


def _text(part: Any) -> str | None:
    if not isinstance(part, Mapping):
        return None
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else None


def _other(part: Any, model: str, *, is_chat: bool) -> tuple[int, CountKind]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in ("image_url", "input_image"):
        return _image(part, model, is_chat=is_chat)
    if kind == "input_audio":
        return _bytes(_inner(part, "input_audio").get("data")) // AUDIO_BYTES_PER_TOKEN, "bound"
    if kind in ("file", "input_file"):
        return _file(_inner(part, "file")), "bound"
    return 0, "bound"


def _image(part: Mapping[str, Any], model: str, *, is_chat: bool) -> tuple[int, CountKind]:
    inner = _inner(part, "image_url")
    url = inner.get("url") or inner.get("image_url")
    size = data_url_size(url) if isinstance(url, str) else None
    return image_tokens(model, size, inner.get("detail"), is_chat=is_chat)


def _file(file: Mapping[str, Any]) -> int:
    data = file.get("file_data")
    if not isinstance(data, str):
        return UNSEEN_FILE
    per_token = TEXT_FILE_BYTES_PER_TOKEN if data.startswith("data:text/") else FILE_BYTES_PER_TOKEN
    return _bytes(data) // per_token


def _inner(part: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Chat wraps what Responses has flat."""
    inner = part.get(field)
    return inner if isinstance(inner, Mapping) else part


def _bytes(base64: Any) -> int:
    return len(base64) * 3 // 4 if isinstance(base64, str) else 0
