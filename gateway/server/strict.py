"""aiohttp's server, held to what the fast lane promises: clean refusals, and heads that arrive in time.

aiohttp's parser (llhttp, nothing lenient about it) already refuses bare line feeds, control characters,
folded headers, spaces before colons, two lengths and the like. Added here is what it lets pass, OpenAI's
error object in place of its plain text, and a deadline for heads, of which it knows none.
"""

import asyncio
import logging
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.typedefs import Handler

from gateway.errors import BadRequest, GatewayError
from gateway.server.http1 import ambiguity
from gateway.server.middleware import error_response

log = logging.getLogger(__name__)


class StrictHandler(web.RequestHandler):
    """One connection that aiohttp serves."""

    __slots__ = ("_head_timeout_s", "_head_timer")

    def __init__(self, server: web.Server, *, head_timeout_s: float, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._head_timeout_s = head_timeout_s
        self._head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_amid_head():
            self._stop_timer()
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(self._head_timeout_s, self.force_close)

    def _is_amid_head(self) -> bool:
        """Bytes came and no request did: neither one that waits or is being served, nor the rest of one's body."""
        if self._messages or self._request_in_progress:
            return False
        return self._waiter is not None or self._request_count == 0

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What never reached a handler: bytes that are not HTTP, or, if we are wrong, a failure outside of them."""
        if status == 400:
            what = (message or "").partition("\n")[0].rstrip(":. ")[:200]
            error: GatewayError = BadRequest(f"The request is not valid HTTP/1.1: {what}.")
        elif isinstance(exc, UnicodeError):  # aiohttp quotes an Expect header that it does not know
            error = BadRequest("The request is not valid HTTP/1.1: a header is not text.")
        else:
            if not isinstance(exc, ConnectionError):  # that is a client which left
                log.error("a request failed outside its handler", exc_info=exc)
            error = GatewayError("The gateway failed; its operator's log has the cause.")
        response = error_response(request, error)
        response.force_close()
        return response


@web.middleware
async def refuse_ambiguous(request: web.Request, handler: Handler) -> web.StreamResponse:
    version = request.version
    reason = ambiguity(request.headers, needs_host=version >= HttpVersion11)
    if version not in (HttpVersion10, HttpVersion11):
        reason = "The request's HTTP version is not supported: only 1.1 and 1.0 are."
    elif version == HttpVersion10 and "Transfer-Encoding" in request.headers:
        reason = "HTTP/1.0 knows no Transfer-Encoding."
    if reason is None:
        return await handler(request)
    response = error_response(request, BadRequest(reason))
    response.force_close()
    return response
