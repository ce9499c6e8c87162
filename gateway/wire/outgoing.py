"""A request as one target is to receive it: the client's bytes but for what we mean to change."""

from gateway.config.model import Upstream
from gateway.values import Request, Target
from gateway.wire.endpoint import Endpoint
from gateway.wire.splice import splice


def outgoing_body(endpoint: Endpoint, request: Request, target: Target, upstream: Upstream) -> bytes:
    """`request.body` with the target's model, the route's caps and the wish for usage spliced in."""
    edits = {
        **request.edits,
        **endpoint.outgoing_edits(
            request, completion_field=upstream.completion_field, stream_usage=upstream.stream_usage
        ),
    }
    if target.model != request.model:
        edits["model"] = target.model
    return splice(request.body, request.fields, edits) if edits else request.body
