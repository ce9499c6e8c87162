"""The simulator as an HTTP server: paths, keys, labels, and errors as OpenAI words them."""

import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
from aiohttp import web

from gateway.simulator import chat, completions, delivery, embeddings, faults, responses
from gateway.simulator.delivery import Pace
from gateway.simulator.errors import ApiError
from gateway.simulator.faults import NO_FAULTS, Faults
from gateway.simulator.reply import Reply, sse
from gateway.simulator.tokens import Tokens
from gateway.tokens.encodings import Encodings

log = logging.getLogger(__name__)

LABEL = "x-simulated"
"""On every response, errors included."""

MODELS = (
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "text-embedding-3-large",
    "text-embedding-3-small",
)
"""What `GET /v1/models` lists. Any other name is served too: configurations name models of all makers."""

_LISTED_SINCE = 1_700_000_000
_MAX_BODY_BYTES = 32 << 20
_KEEP_BODY_BYTES = 16 << 20
_STOP_WITHIN_S = 0.2

Respond = Callable[[Mapping[str, Any], Faults, Tokens], Awaitable[Reply]]


class Endpoint(NamedTuple):
    respond: Respond
    error_event: bytes


_BROKEN = faults.stream_error()
_ENDPOINTS = {
    "/v1/chat/completions": Endpoint(chat.respond, sse(_BROKEN.body())),
    "/v1/completions": Endpoint(completions.respond, sse(_BROKEN.body())),
    "/v1/embeddings": Endpoint(embeddings.respond, sse(_BROKEN.body())),
    "/v1/responses": Endpoint(responses.respond, responses.error_event(_BROKEN.message, _BROKEN.code)),
}


class Calls:
    """The bodies of the last requests, within a number and a size: tests ask what an upstream saw."""

    def __init__(self, most: int) -> None:
        self._kept: deque[tuple[int, dict[str, Any]]] = deque()
        self._most = most
        self._bytes = 0

    def add(self, size: int, fields: dict[str, Any]) -> None:
        self._kept.append((size, fields))
        self._bytes += size
        while len(self._kept) > self._most or self._bytes > _KEEP_BODY_BYTES:
            self._bytes -= self._kept.popleft()[0]

    def bodies(self) -> list[dict[str, Any]]:
        return [fields for _, fields in self._kept]


class Simulator:
    """A simulated upstream on a port of its own, in the running loop:

        async with Simulator() as simulator:
            client = AsyncOpenAI(base_url=simulator.base_url, api_key="any")

    `port` 0 picks a free one. `tokens_per_second` and `first_token_ms` of 0 mean at once. With `key`,
    requests need it as their bearer token. `encodings` may be shared with a gateway in the same process.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tokens_per_second: float = 0.0,
        first_token_ms: float = 0.0,
        key: str | None = None,
        keep_calls: int = 1000,
        encodings: Encodings | None = None,
    ) -> None:
        self.host = host
        self.port = port
        """Once started, the one that is listened on."""
        self._pace = Pace(first_token_ms / 1000, tokens_per_second)
        self._key = key
        self._calls = Calls(keep_calls)
        self._tokens = Tokens(encodings or Encodings())

    async def __aenter__(self) -> Self:
        # A client that leaves ends its request's handler: streams and stalls do not go on for nobody.
        self._runner = web.AppRunner(
            self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_WITHIN_S
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        self._tokens.close()

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Bodies of the inference requests so far, refused ones included: the last `keep_calls`, at most 16 MB."""
        return self._calls.bodies()

    # -------------------------------------------------- HTTP

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._answer_errors])
        for path, endpoint in _ENDPOINTS.items():
            app.router.add_post(path, self._handler(endpoint))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{model:.+}", self._model)
        app.router.add_get("/healthz", _healthz)
        app.on_response_prepare.append(_label)
        return app

    @web.middleware
    async def _answer_errors(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The one place where errors become responses."""
        try:
            if request.path.startswith("/v1/"):
                self._check_key(request)
            return await handler(request)
        except ApiError as error:
            return _error(error)
        except web.HTTPNotFound:
            return _error(ApiError(f"Invalid URL ({request.method} {request.path})", status=404))
        except web.HTTPMethodNotAllowed:
            message = f"Not allowed to {request.method} on {request.path}."
            return _error(ApiError(message, status=405, code="method_not_supported"))
        except web.HTTPRequestEntityTooLarge:
            return _error(ApiError(f"The request body is larger than {_MAX_BODY_BYTES:,} bytes.", status=413))
        except Exception:
            log.exception("the simulator failed on %s %s", request.method, request.path)
            message = "The server had an error while processing your request. Sorry about that!"
            return _error(ApiError(message, status=500, kind="server_error"))

    def _check_key(self, request: web.Request) -> None:
        if self._key is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not given:
            message = "You didn't provide an API key. You need to provide your API key in an Authorization header."
            raise ApiError(message, status=401)
        if not secrets.compare_digest(given.encode(), self._key.encode()):
            message = f"Incorrect API key provided: {given[:3]}***. The simulator was started with another one."
            raise ApiError(message, status=401, code="invalid_api_key")

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            fields = _parsed(body)
            self._calls.add(len(body), fields)
            asked = _faults(request, fields)
            if (error := faults.status_error(asked)) is not None:
                raise error
            reply = await endpoint.respond(fields, asked, self._tokens)
            return await delivery.deliver(request, reply, asked, self._pace, endpoint.error_event)

        return handle

    async def _models(self, request: web.Request) -> web.Response:
        return _json({"object": "list", "data": [_model_object(name) for name in MODELS]})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if name not in MODELS:
            message = f"The model '{name}' does not exist"
            raise ApiError(message, status=404, param="model", code="model_not_found")
        return _json(_model_object(name))


async def _healthz(request: web.Request) -> web.Response:
    return _json({"status": "ok", "simulated": True})


async def _label(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[LABEL] = "true"
    response.headers["x-request-id"] = f"req_{secrets.token_hex(16)}"


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        message = "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload."
        raise ApiError(message)
    return fields


def _faults(request: web.Request, fields: Mapping[str, Any]) -> Faults:
    """From the header, or from the metadata: a proxy in between passes on the body, but not every header."""
    metadata = fields.get("metadata")
    asked = request.headers.get("x-simulate") or (metadata.get("simulate") if isinstance(metadata, dict) else None)
    return faults.parse(asked) if isinstance(asked, str) else NO_FAULTS


def _model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _LISTED_SINCE, "owned_by": "simulator"}


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, headers=headers, content_type="application/json")


def _error(error: ApiError) -> web.Response:
    return _json(error.body(), error.status, error.headers)
