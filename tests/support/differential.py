"""One simulated model API, reached directly and through the gateway, by OpenAI's own client.

    async with both() as pair:
        answer = await pair.same(lambda client: client.embeddings.create(model=…, input=…))

`same` fails where the two differ in anything but ids and times.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from pydantic import BaseModel

from gateway.simulator.app import Simulator
from tests.support.gateway import RunningGateway, config, gateway
from tests.support.tokens import encodings

_ID = re.compile(r"\b(?:chatcmpl|cmpl|resp|msg|fc|ctc|rs|call|req)[-_][A-Za-z0-9]+")
_TIMES = frozenset({"created", "created_at", "completed_at"})


@dataclass(frozen=True, slots=True)
class Pair:
    direct_url: str
    gateway: RunningGateway

    @property
    def urls(self) -> tuple[str, str]:
        return self.direct_url, f"{self.gateway.url}/v1"

    async def same(self, ask: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
        """What `ask` returns through the gateway, or the error it raises: directly it must be the same."""
        direct, through = [await _async(url, ask) for url in self.urls]
        assert plain(through) == plain(direct)
        return through

    async def same_in_sync(self, ask: Callable[[OpenAI], Any]) -> Any:
        """The same with the client that blocks, in a thread."""
        direct, through = [await asyncio.to_thread(_sync, url, ask) for url in self.urls]
        assert plain(through) == plain(direct)
        return through

    async def through(self, ask: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
        return await _async(self.urls[1], ask)


@asynccontextmanager
async def both(**sections: Any) -> AsyncIterator[Pair]:
    """`sections` of the gateway's configuration beside those of `tests.support.gateway.config`."""
    async with Simulator(encodings=encodings()) as simulator, gateway(config(simulator.base_url, **sections)) as gw:
        yield Pair(simulator.base_url, gw)


_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used; a client that is given none reads all certificates of the machine, for 50 ms."""


def client_of(url: str) -> AsyncOpenAI:
    http = DefaultAsyncHttpxClient(verify=_TLS)
    return AsyncOpenAI(base_url=url, api_key="sk-anything", max_retries=0, http_client=http)


async def _async(url: str, ask: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
    async with client_of(url) as client:
        try:
            return await ask(client)
        except openai.OpenAIError as error:
            return error


def _sync(url: str, ask: Callable[[OpenAI], Any]) -> Any:
    http = DefaultHttpxClient(verify=_TLS)
    with OpenAI(base_url=url, api_key="sk-anything", max_retries=0, http_client=http) as client:
        try:
            return ask(client)
        except openai.OpenAIError as error:
            return error


def plain(value: Any) -> Any:
    """`value` as data that can be compared: ids and times blotted out, errors as their type, status and body."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump(warnings=False))  # of what the client parsed, it would warn
    if isinstance(value, openai.APIStatusError):
        return type(value).__name__, value.status_code, plain(value.body)
    if isinstance(value, Exception):
        return type(value).__name__, str(value)
    if isinstance(value, dict):
        return {key: "…" if key in _TIMES else plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return _ID.sub("…", value) if isinstance(value, str) else value
