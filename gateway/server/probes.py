"""/healthz, /readyz and /metrics: for machines that watch us."""

from aiohttp import web

from gateway.server.keys import GATEWAY, IN_FLIGHT


async def healthz(_: web.Request) -> web.Response:
    """Alive: the event loop answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Ready for traffic; 503 from the moment a stop was asked for, so that load balancers look elsewhere."""
    if request.app[IN_FLIGHT].is_draining:
        return web.json_response({"status": "draining"}, status=503)
    return web.json_response({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    body, content_type = request.app[GATEWAY].metrics.render(request.headers.get("accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})
