"""The table of inference endpoints."""

from gateway.wire.chat import Chat
from gateway.wire.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (Chat(),)
