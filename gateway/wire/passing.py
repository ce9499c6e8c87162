"""A request and its answer that only pass through: the little of them that says what they cost.

Bodies of any size and kind go by, so only the beginning of the one and the end of the other is kept. The model is
taken from the answer where that names it, else from the request where there is no doubt which one is meant.
"""

import json
import re
from collections.abc import Iterable

from gateway.values import Usage
from gateway.wire import json_bytes
from gateway.wire.usage import chat_usage, responses_usage

_KEPT = 1 << 16
_USAGE = re.compile(rb'"usage"\s*:\s*(?=\{)')
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_FORM_MODEL = re.compile(rb'name="?model"?\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,200})\r\n')
_DECODER = json.JSONDecoder()


class Passing:
    def __init__(self) -> None:
        self._sent = b""
        self._head = b""
        self._tail = bytearray()

    def sent(self, chunk: bytes) -> None:
        """Part of the request goes by."""
        if len(self._sent) <= _KEPT:
            self._sent += chunk[: _KEPT + 1 - len(self._sent)]

    def received(self, chunk: bytes) -> None:
        """Part of the answer goes by, decoded."""
        if len(self._head) < _KEPT:
            self._head += chunk[: _KEPT - len(self._head)]
        self._tail += chunk
        if len(self._tail) > 4 * _KEPT:  # seldom, for it is moved then
            del self._tail[:-_KEPT]

    @property
    def usage(self) -> Usage | None:
        """As the answer reports it last, whole or in an event."""
        for match in reversed([*_USAGE.finditer(self._tail)]):
            try:
                reported, _ = _DECODER.raw_decode(self._tail[match.end() :].decode("utf-8", "replace"))
            except ValueError:
                continue
            answer = {"usage": reported}
            if (found := chat_usage(answer) or responses_usage(answer)) is not None:
                return found
        return None

    @property
    def model(self) -> str:
        """Empty where it is not known for certain: a price is not guessed."""
        answered = _only(_MODEL.findall(self._head)) or _only(_MODEL.findall(self._tail))
        return answered or self._asked()

    def _asked(self) -> str:
        if len(self._sent) > _KEPT:
            return _only(_FORM_MODEL.findall(self._sent)[:1])
        if (fields := json_bytes.object_in(self._sent)) is not None:
            return str(fields.get("model") or "")
        return _only(_FORM_MODEL.findall(self._sent))


def _only(names: Iterable[bytes]) -> str:
    """The one name, if all are the same."""
    found = set(names)
    return found.pop().decode("utf-8", "replace") if len(found) == 1 else ""
