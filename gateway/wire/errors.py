"""Facts (`errors.py`) → what an OpenAI client sees: status, headers and the error object."""

import math
from collections.abc import Mapping
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
    errors.AdminKeyInvalid: Shape(401, "invalid_request_error", "invalid_api_key", is_final=True),
    errors.NotAllowed: Shape(403, "invalid_request_error", "permission_denied", is_final=True),
    errors.NotFound: Shape(404, "invalid_request_error", "not_found", is_final=True),
    errors.ModelNotFound: Shape(404, "invalid_request_error", "model_not_found", is_final=True),
    errors.Conflict: Shape(409, "invalid_request_error", "conflict", is_final=True),
    errors.BodyTimeout: Shape(408, "invalid_request_error", "request_timeout"),
    errors.BodyTooLarge: Shape(413, "invalid_request_error", "request_too_large", is_final=True),
    errors.CompletionUnbounded: Shape(400, "invalid_request_error", "completion_unbounded", is_final=True),
    errors.BackgroundUnmetered: Shape(400, "invalid_request_error", "background_unmetered", is_final=True),
    errors.RateLimited: Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    errors.DemandTooLarge: Shape(429, "rate_limit_error", "rate_limit_exceeded", is_final=True),
    errors.BudgetExceeded: Shape(429, "insufficient_quota", "insufficient_quota", is_final=True),
    errors.SpendingTooFast: Shape(429, "rate_limit_error", "cost_breaker_open"),
    errors.BudgetUnavailable: Shape(503, "server_error", "budget_unavailable"),
    errors.KeysUnavailable: Shape(503, "server_error", "keys_unavailable"),
    errors.PromptsUnavailable: Shape(503, "server_error", "prompts_unavailable"),
    errors.DatabaseSilent: Shape(503, "server_error", "database_unavailable"),
    errors.Overloaded: Shape(503, "server_error", "overloaded"),
    errors.ProcessSilent: Shape(503, "server_error", "process_silent"),
    errors.UpstreamUnavailable: Shape(502, "server_error", "upstream_unavailable"),
    errors.UpstreamBusy: Shape(503, "server_error", "overloaded"),
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
        headers.append(("Retry-After", str(math.ceil(error.retry_after_s))))  # a second early would be refused again
    return shape.status, headers, json_bytes.dumps(error_object(error))


def error_object(error: GatewayError) -> dict[str, Any]:
    shape = shape_of(error)
    code = error.code or shape.code
    return {"error": {"message": error.message, "type": shape.type, "param": error.param, "code": code}}


def to_event(error: GatewayError) -> bytes:
    """The last event of a stream that failed after it had begun; no `[DONE]` follows it."""
    return sse.encode(json_bytes.dumps(error_object(error)))


_MAX_MESSAGE_CHARS = 500


def reported_error(answer: Mapping[str, Any]) -> str | None:
    """The message of the error that an upstream reports in an answer of status 200 or in an event of a stream.

    None where it reports none. All forms that are found: `{"error": {"message": …}}`, `{"error": "…"}`;
    from the Responses API `{"type": "error", "message": …}` as documented, the same around an `error`
    object as its servers send it, and `{"type": "response.failed", "response": {"error": …}}`.
    """
    error = answer.get("error")
    if not error and answer.get("type") == "error":
        error = answer
    elif not error and answer.get("type") == "response.failed":
        response = answer.get("response")
        error = (response.get("error") if isinstance(response, dict) else None) or "The response failed."
    if not error:
        return None
    message = error.get("message") if isinstance(error, Mapping) else error
    return str(message)[:_MAX_MESSAGE_CHARS]
