"""HTTP calls to one configured upstream: the small interface the rest of `upstream` needs.

Nothing here knows of models, events or retries. Bodies come back as they arrive; the caller reads
them chunk by chunk and closes the reply, which early on cuts the connection.

    head      what is said first           dial   name, address, proxy, TLS
    http1     one request at a time        pool   who may use which connection, and when
    reply     what comes back              decode if it is compressed all the same
"""

import os
from collections.abc import Callable, Mapping
from typing import Self

from multidict import istr
from yarl import URL

from gateway.config.model import Upstream
from gateway.exchange import Headers
from gateway.upstream.dial import Dialer, Origin
from gateway.upstream.head import Heads
from gateway.upstream.http1 import Body
from gateway.upstream.pool import Pool
from gateway.upstream.reply import Reply

__all__ = ["Reply", "UpstreamClient"]

_TAKES_A_BODY = frozenset({"PATCH", "POST", "PUT"})
"""Without one they say that it is empty (RFC 9110, 8.6)."""
_CONTENT_LENGTH = istr("Content-Length")


class UpstreamClient:
    """Connections to one configured upstream. Use as an async context manager.

    Raises ConfigError for what can never work: a CA file that is none, a proxy (named in `environ`)
    of an unknown kind.
    """

    def __init__(self, name: str, config: Upstream, *, environ: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self.config = config
        self.in_flight = 0
        self.calls = 0
        """Begun so far."""
        self._dialer = Dialer(
            name, _origin(config), ca_file=config.ca_file, timeout_s=config.connect_timeout_s, environ=environ
        )
        proxy = self._dialer.proxy
        self._heads = Heads(
            name,
            config,
            is_forwarded=self._dialer.is_forwarded,
            proxy_authorization=proxy.authorization if proxy else None,
        )
        self._pool = Pool(self._dialer.dial, config.max_connections)

    async def __aenter__(self) -> Self:
        self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._dialer.close()
        await self._pool.close()

    @property
    def connections(self) -> int:
        return self._pool.size

    @property
    def waiting(self) -> int:
        """Calls that wait for a connection."""
        return self._pool.waiting

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Headers,
        body: Body,
        query: str = "",
        raw: bool = False,
        owner: str = "",
        on_sent: Callable[[], None] | None = None,
    ) -> Reply:
        """Send a request to `path` (percent-encoded, below the base URL); returns once the reply's head is there.

        `headers` are the client's, already filtered; the upstream's configured ones win over them. A
        body that is an iterable is sent as it comes, in chunks unless `headers` hold its length; an
        answer may overtake it. `raw` leaves a compressed answer as it is; `owner` is whose call it is, where
        there are more than there may be; `on_sent` is told when it leaves, for which it may have to wait in line.
        Raises UpstreamUnavailable, UpstreamTimeout where no connection could be made in time, BadRequest, and what the
        body raises; the caller bounds the rest. Redirects are not followed.
        """
        self.in_flight += 1
        self.calls += 1
        try:
            head = self._heads.start(method, path, query, headers, raw=raw)
            if body is None and method in _TAKES_A_BODY:
                body = b""
            length = _length(headers) if body is not None and not isinstance(body, bytes) else None
            connection = self._pool.take() or await self._pool.acquire(owner)
        except BaseException:
            self.in_flight -= 1
            raise
        if on_sent is not None:
            on_sent()
        reply = connection.ask(
            head, body, length=length, is_head_request=method == "HEAD", raw=raw, on_close=self._closed
        )
        try:
            await reply.head()
        except BaseException:
            reply.close()
            raise
        return reply

    def _closed(self) -> None:
        self.in_flight -= 1


def _origin(config: Upstream) -> Origin:
    base = URL(config.base_url)
    assert base.raw_host is not None
    assert base.port is not None
    return Origin(base.scheme, base.raw_host, base.port)


def _length(headers: Headers) -> int | None:
    """What the client said its body's length is."""
    given = headers.get(_CONTENT_LENGTH, "")
    return int(given) if given.isascii() and given.isdigit() else None
