"""What aiohttp handlers find in their application."""

from aiohttp import web

from gateway.server.live import Live
from gateway.server.load import InFlight

LIVE = web.AppKey("live", Live)
IN_FLIGHT = web.AppKey("in_flight", InFlight)
