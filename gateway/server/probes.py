"""/healthz, /readyz and /metrics: for machines that watch us."""

from aiohttp import web

from gateway.server.crew import CREW


async def healthz(_: web.Request) -> web.Response:
    """Alive: the event loop answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Ready for traffic; 503 from the moment a stop was asked for, so that load balancers look elsewhere."""
    is_ready, body = request.app[CREW].readiness()
    return web.json_response(body, status=200 if is_ready else 503)


async def metrics(request: web.Request) -> web.Response:
    body, content_type = request.app[CREW].metrics(request.headers.get("accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})
