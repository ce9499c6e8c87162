"""Which model names a caller may send: the aliases its routes spell out, and what their upstreams list."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.auth.identify import Identifier, credential_in
from gateway.errors import ModelNotFound, UpstreamError, UpstreamUnavailable
from gateway.exchange import Headers
from gateway.routing.match import RouteTable
from gateway.upstream.call import Upstreams
from gateway.values import Caller
from gateway.wire import headers as wire_headers
from gateway.wire.endpoints import ENDPOINTS

_TIMEOUT_S = 10.0
_MAX_BYTES = 8 << 20
_OWNER = "gateway"


@dataclass(frozen=True, slots=True)
class Catalog:
    identifier: Identifier
    routes: RouteTable
    upstreams: Upstreams

    async def models(self, headers: Headers) -> list[dict[str, Any]]:
        """OpenAI model objects in the order of the routes, each id once.

        An upstream that does not answer leaves its models out; only when nothing at all is known is
        that an error.
        """
        caller = self.identifier.identify(credential_in(headers))
        aliases = [_model_object(name) for name in self.routes.aliases(caller)]
        routes = {route.upstream: route for route in self.routes.admitted(caller) if route.upstream is not None}
        asked = [self._listed(upstream, caller, headers) for upstream in routes]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found: dict[str, dict[str, Any]] = {model["id"]: model for model in aliases}
        for answer in answers:
            if isinstance(answer, UpstreamError) and not aliases and len(answers) == 1:
                raise answer
            if isinstance(answer, BaseException):
                if not isinstance(answer, UpstreamError):
                    raise answer
                continue
            for model in answer:
                if self._may_name(model["id"], caller):
                    found.setdefault(model["id"], model)
        return list(found.values())

    async def model(self, model_id: str, headers: Headers) -> dict[str, Any]:
        """One of them; ModelNotFound if this caller may not name it."""
        for model in await self.models(headers):
            if model["id"] == model_id:
                return model
        raise ModelNotFound(model_id)

    def _may_name(self, model: str, caller: Caller) -> bool:
        """Whether `model` leads `caller` to an upstream under its own name, on any endpoint."""
        for endpoint in ENDPOINTS:
            try:
                route = self.routes.match(model, endpoint.name, caller)
            except ModelNotFound:
                continue
            if route.upstream is not None:
                return True
        return False

    async def _listed(self, upstream: str, caller: Caller, headers: Headers) -> list[dict[str, Any]]:
        """What `upstream` lists; UpstreamUnavailable for anything that is not a list of models."""
        client = self.upstreams.clients[upstream]
        forwarded = wire_headers.to_upstream(headers, own_credentials=caller.has_own_credentials)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reply = await client.send("GET", "/models", headers=forwarded, body=None)
                try:
                    body = await reply.read(_MAX_BYTES)
                finally:
                    reply.close()
        except TimeoutError:
            raise UpstreamUnavailable("The model API did not list its models in time.") from None
        return _models_in(body) if reply.status == 200 else []


def _models_in(body: bytes) -> list[dict[str, Any]]:
    try:
        data = orjson.loads(body)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise UpstreamUnavailable("The model API's list of models is not readable.") from None
    return [model for model in data if isinstance(model, dict) and isinstance(model.get("id"), str)]


def _model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
