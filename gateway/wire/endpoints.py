"""The table of inference endpoints."""

from gateway.wire.chat import Chat
from gateway.wire.completions import Completions
from gateway.wire.embeddings import Embeddings
from gateway.wire.endpoint import Endpoint
from gateway.wire.responses import Responses

ENDPOINTS: tuple[Endpoint, ...] = (Chat(), Completions(), Embeddings(), Responses())
