"""WebSockets to an upstream (OpenAI's Realtime API): the one place where aiohttp is the client."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.config.check import is_loopback
from gateway.config.model import Upstream
from gateway.errors import UpstreamUnavailable

MAX_MESSAGE_BYTES = 16 << 20
"""Of either side: audio comes in pieces of at most 15 MB, says OpenAI's API reference."""
HEARTBEAT_S = 30.0


class Refused(Exception):
    """The upstream answered the handshake with `status` instead of switching protocols."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the model API refused the WebSocket with status {status}")
        self.status = status


@asynccontextmanager
async def connect(
    config: Upstream, path: str, query: str, headers: CIMultiDict[str], protocols: Sequence[str]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """An open WebSocket to `path` below the upstream's base URL; raises Refused or UpstreamUnavailable."""
    headers = headers.copy()
    for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
        headers.popall(name, None)
    headers.update(config.headers)
    if config.api_key is not None and "authorization" not in headers:
        headers["Authorization"] = f"Bearer {config.api_key.get_secret_value()}"
    url = URL(f"{config.base_url}{path}" + (f"?{query}" if query else ""), encoded=True).update_query(config.query)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout_s)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(url.host or "")) as session:
        try:
            async with asyncio.timeout(config.first_byte_timeout_s):
                remote = await session.ws_connect(
                    url,
                    headers=headers,
                    protocols=protocols,
                    heartbeat=HEARTBEAT_S,
                    max_msg_size=MAX_MESSAGE_BYTES,
                    ssl=True if config.ca_file is None else ssl.create_default_context(cafile=config.ca_file),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status) from None
        except (aiohttp.ClientError, TimeoutError):
            raise UpstreamUnavailable("The model API could not be reached for a WebSocket.") from None
        async with remote:
            yield remote
