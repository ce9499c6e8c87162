"""One HTTP call to an upstream: the small interface the rest of `upstream` needs, on aiohttp.

Nothing here knows of models, events or retries. Bodies come back as they arrive; the caller reads
them chunk by chunk and closes the reply, which early on cuts the connection.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterable, Callable
from ipaddress import ip_address
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway import __version__
from gateway.config.model import Upstream
from gateway.errors import UpstreamCut, UpstreamTimeout, UpstreamUnavailable
from gateway.exchange import Headers

_LARGE = 1 << 20
"""From this size on aiohttp wants a file to read from piece by piece, not bytes to send in one go."""


class Reply:
    """A response whose head has arrived. `close()` it in any case; before its end that cuts the connection."""

    __slots__ = ("_release", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, release: Callable[[], None]) -> None:
        self._response = response
        self._release: Callable[[], None] | None = release
        self.status = response.status
        self.headers: Headers = response.headers

    @property
    def is_event_stream(self) -> bool:
        return self._response.content_type == "text/event-stream"

    async def next_chunk(self, idle_s: float | None) -> bytes:
        """What arrives next, empty at the end; UpstreamTimeout after `idle_s` of silence, UpstreamCut on a break."""
        try:
            async with asyncio.timeout(idle_s) as idle:
                return await self._response.content.readany()
        except TimeoutError:
            if not idle.expired():
                raise  # a deadline further out
            raise UpstreamTimeout(f"The model API sent nothing for {idle_s:g} s.") from None
        except aiohttp.ClientError:
            raise UpstreamCut("The model API broke off its answer.") from None

    async def read(self, max_bytes: int) -> bytes:
        """The whole body; UpstreamUnavailable if it is larger than `max_bytes`."""
        parts: list[bytes] = []
        size = 0
        while chunk := await self.next_chunk(None):
            size += len(chunk)
            if size > max_bytes:
                raise UpstreamUnavailable(f"The model API's answer is larger than {max_bytes:,} bytes.")
            parts.append(chunk)
        return b"".join(parts)

    def close(self) -> None:
        if self._release is None:
            return
        release, self._release = self._release, None
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()
        release()


class UpstreamClient:
    """Connections to one configured upstream. Use as an async context manager."""

    def __init__(self, name: str, config: Upstream) -> None:
        self.name = name
        self.config = config
        self.in_flight = 0
        self._base = URL(config.base_url)
        self._query = dict(config.query)
        self._headers = _fixed_headers(config)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.config.max_connections, ssl=_tls(self.config.ca_file)),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.config.connect_timeout_s),
            trust_env=not _is_loopback(self._base.host),  # HTTPS_PROXY and friends; never for this machine itself
            skip_auto_headers=("Accept", "User-Agent", "Content-Type"),
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: CIMultiDict[str],
        body: bytes | AsyncIterable[bytes] | None,
        query: str = "",
        raw: bool = False,
    ) -> Reply:
        """Send a request to `path` (percent-encoded, below the base URL); returns once the reply's head is there.

        `headers` are the client's, already filtered; the upstream's configured ones win over them.
        `raw` leaves a compressed body as it is. Raises UpstreamUnavailable, and UpstreamTimeout where
        no connection could be made in time; the caller bounds the rest. Redirects are not followed.
        """
        self.in_flight += 1
        try:
            response = await self._session.request(
                method,
                self._url(path, query),
                headers=self._merged(headers, raw=raw),
                data=io.BytesIO(body) if isinstance(body, bytes) and len(body) > _LARGE else body,
                allow_redirects=False,
                auto_decompress=not raw,
            )
        except BaseException as error:
            self.in_flight -= 1
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                limit = self.config.connect_timeout_s
                raise UpstreamTimeout(f"No connection to the model API within {limit:g} s.", was_sent=False) from None
            if isinstance(error, aiohttp.ClientError):
                raise UpstreamUnavailable("The model API could not be reached, or broke off unanswered.") from None
            raise
        return Reply(response, self._released)

    def _released(self) -> None:
        self.in_flight -= 1

    def _url(self, path: str, query: str) -> URL:
        url = URL(f"{self._base}{path}", encoded=True)
        if query:
            url = URL(f"{url}?{query}", encoded=True)
        return url.update_query(self._query) if self._query else url

    def _merged(self, headers: CIMultiDict[str], *, raw: bool) -> CIMultiDict[str]:
        merged = headers.copy()
        for name, value in self._headers.items():
            if name.lower() == "authorization" and "authorization" in headers:
                continue  # the client's own credentials, where it is allowed to bring them
            merged[name] = value
        if not raw:
            merged["Accept-Encoding"] = "identity"  # events must be readable as they come
        merged.setdefault("User-Agent", f"llm-gateway/{__version__}")
        return merged


def _fixed_headers(config: Upstream) -> dict[str, str]:
    fixed = dict(config.headers)
    if config.api_key is not None:
        fixed["Authorization"] = f"Bearer {config.api_key.get_secret_value()}"
    return fixed


def _tls(ca_file: str | None) -> ssl.SSLContext | bool:
    return True if ca_file is None else ssl.create_default_context(cafile=ca_file)


def _is_loopback(host: str | None) -> bool:
    if host is None or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
