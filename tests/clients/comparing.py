"""What must be the same with and without the gateway, and what differs between any two answers."""

import re
from collections.abc import Iterator
from typing import Any

from tests.clients.driven import Played

_ID = re.compile(
    r"\b(chatcmpl|cmpl|resp|msg|fc|ctc|rs|req)[_-]?[0-9a-f]{24,}\b|\blc_run--[0-9a-f-]+\b|\bresp_[A-Za-z0-9]{60,}=*"
)
"""Of the model API, of LangChain, and of LiteLLM, which wraps the model API's in its own."""
_CREATED = re.compile(r'"created":[0-9]+')
_VARYING = frozenset({"created", "created_at", "timestamp", "performance", "run_id", "conversation_id"})
"""Times, and ids that a library makes for itself."""

MOST_SHOWN = 20


def has_failed(played: Played) -> bool:
    """Whether the client told of an error: as an exception, or as a part where that is its way."""
    return played.raised is not None or any(
        isinstance(part, dict) and part.get("type") == "error" for part in played.parts
    )


def told(played: Played) -> dict[str, Any]:
    """What a client told, without ids, times and where it was pointed at.

    `usage: null` in a chunk is left out as well: the gateway asks for the usage of every stream, and then
    each chunk has it.
    """
    url = played.base_url.removesuffix("/v1")
    return {"parts": _comparable(played.parts, url), "raised": _comparable(played.raised, url)}


def without_stamps(text: str) -> str:
    """The text of an answer without its id and time."""
    return _ID.sub("…", _CREATED.sub("…", text))


def _comparable(value: Any, url: str) -> Any:
    match value:
        case dict():
            return {
                name: "…" if name in _VARYING and item is not None else _comparable(item, url)
                for name, item in value.items()
                if not (
                    name == "usage" and item is None and str(value.get("object")).endswith((".chunk", "completion"))
                )
            }
        case list():
            return [_comparable(item, url) for item in value]
        case str():
            return _ID.sub("…", value.replace(url, "URL"))
    return value


def differences(expected: object, found: object) -> list[str]:
    """One line for each place where they differ, at most MOST_SHOWN."""
    lines = list(_differences(expected, found, ""))
    return lines if len(lines) <= MOST_SHOWN else [*lines[:MOST_SHOWN], f"and {len(lines) - MOST_SHOWN} more"]


def _differences(expected: object, found: object, path: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in expected | found:
            yield from _differences(expected.get(name, ABSENT), found.get(name, ABSENT), f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif type(expected) is not type(found) or expected != found:
        yield f"{path.lstrip('.')}: {_shown(expected)} without the gateway, {_shown(found)} with it"


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def _shown(value: object) -> str:
    shown = f"{len(value)} items {value!r}" if isinstance(value, list) else repr(value)
    return shown if len(shown) <= 300 else shown[:300] + "…"
