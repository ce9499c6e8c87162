"""The Responses API tells with each response which prompt it was made from; the upstream, which never saw it, does not.

So the object is put in on the way to the client that named the prompt: answers that are kept, or shared with others,
have it not. Of a stream, only the few events that carry the whole response are touched.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from gateway.exchange import Client
from gateway.wire import json_bytes
from gateway.wire.splice import members, splice
from gateway.wire.sse import events

_NULL = re.compile(rb'"prompt"\s*:\s*null')
_CARRIES = re.compile(rb'"type"\s*:\s*"response\.(?:created|queued|in_progress|completed|incomplete|failed)"')


class Echo:
    """A `Client` of the Responses API, told of its prompt whatever it is answered."""

    def __init__(self, client: Client, prompt: object) -> None:
        self._client = client
        self._raw = json_bytes.dumps(prompt)
        self._prompt: dict[str, Any] = {"prompt": orjson.Fragment(self._raw)}

    async def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        if status == 200:
            body = self._told(body)
        await self._client.answer(status, headers, body)

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        await self._client.begin(status, headers)

    async def write(self, data: bytes) -> None:
        """Whole events, as a relay and a replay write them."""
        await self._client.write(self._events(data))

    @property
    def push(self) -> Callable[[bytes], None] | None:
        push = self._client.push
        return None if push is None else lambda data: push(self._events(data))

    async def end(self) -> None:
        await self._client.end()

    def abort(self) -> None:
        self._client.abort()

    def _events(self, data: bytes) -> bytes:
        if _CARRIES.search(data) is None:
            return data
        return b"".join(self._event(event.raw, event.data) for event in events(data))

    def _event(self, raw: bytes, data: bytes) -> bytes:
        if _CARRIES.search(data) is None or json_bytes.object_in(data) is None:
            return raw
        told = self._in_place_of_null(data)
        if told is None:
            response = next((member for member in members(data) if member.key == "response"), None)
            if response is None:
                return raw
            told = data[: response.start] + self._told(data[response.start : response.end]) + data[response.end :]
        lines = told.replace(b"\n", b"\ndata: ")  # JSON written over several lines
        return raw[: raw.find(b"data:")] + b"data: " + lines + b"\n\n"

    def _in_place_of_null(self, data: bytes) -> bytes | None:
        """The event as OpenAI's servers write it, with the prompt; None where it is written otherwise."""
        told, count = _NULL.subn(lambda _: b'"prompt":' + self._raw, data)
        if count != 1:
            return None
        response = (json_bytes.object_in(told) or {}).get("response")
        return told if isinstance(response, dict) and response.get("prompt") else None

    def _told(self, response: bytes) -> bytes:
        """`response` with its prompt; as it is where that is no response object."""
        fields = json_bytes.object_in(response)
        if not fields or fields.get("object") != "response":
            return response
        return splice(response, fields, self._prompt)
