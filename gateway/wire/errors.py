"""Facts (`errors.py`) → what an OpenAI client sees: status, headers and the error object."""

from dataclasses import dataclass
from typing import Any

from gateway import errors
from gateway.errors import GatewayError
from gateway.wire import json_bytes, sse


@dataclass(frozen=True, slots=True)
class Shape:
    """`is_final`: the same request will fail again, so SDKs are told not to retry it."""

    status: int
    type: str
    code: str | None
    is_final: bool = False


SHAPES: dict[type[GatewayError], Shape] = {
    errors.BadRequest: Shape(400, "invalid_request_error", None, is_final=True),
    errors.PromptTooLong: Shape(400, "invalid_request_error", "context_length_exceeded", is_final=True),
    errors.PriceUnknown: Shape(400, "invalid_request_error", "model_price_unknown", is_final=True),
    errors.InvalidKey: Shape(401, "invalid_request_error", "invalid_api_key", is_final=True),
    errors.NotAllowed: Shape(403, "invalid_request_error", "permission_denied", is_final=True),
    errors.NotFound: Shape(404, "invalid_request_error", "not_found", is_final=True),
    errors.ModelNotFound: Shape(404, "invalid_request_error", "model_not_found", is_final=True),
    errors.BodyTimeout: Shape(408, "invalid_request_error", "request_timeout"),
    errors.BodyTooLarge: Shape(413, "invalid_request_error", "request_too_large", is_final=True),
    errors.Overloaded: Shape(503, "server_error", "overloaded"),
    errors.UpstreamUnavailable: Shape(502, "server_error", "upstream_unavailable"),
    errors.UpstreamTimeout: Shape(504, "server_error", "upstream_timeout"),
    errors.UpstreamCut: Shape(502, "server_error", "upstream_cut"),
    errors.StoreUnavailable: Shape(503, "server_error", "store_unavailable"),
    errors.CacheMissRequired: Shape(504, "invalid_request_error", "not_cached", is_final=True),
    GatewayError: Shape(500, "server_error", None),
}


def shape_of(error: GatewayError) -> Shape:
    """The nearest class in the MRO of `error` decides."""
    return next(SHAPES[cls] for cls in type(error).__mro__ if cls in SHAPES)


def to_openai(error: GatewayError) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and JSON body of `error`."""
    shape = shape_of(error)
    headers = [("Content-Type", "application/json")]
    if shape.is_final:
        headers.append(("x-should-retry", "false"))
    if error.retry_after_s is not None:
        headers.append(("Retry-After", f"{error.retry_after_s:.0f}"))
    return shape.status, headers, json_bytes.dumps(error_object(error))


def error_object(error: GatewayError) -> dict[str, Any]:
    shape = shape_of(error)
    return {"error": {"message": error.message, "type": shape.type, "param": error.param, "code": shape.code}}


def to_event(error: GatewayError) -> bytes:
    """The last event of a stream that failed after it had begun; no `[DONE]` follows it."""
    return sse.encode(json_bytes.dumps(error_object(error)))
