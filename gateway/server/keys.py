"""What aiohttp handlers find in their application."""

from aiohttp import web

from gateway.app import Gateway
from gateway.server.load import InFlight

GATEWAY = web.AppKey("gateway", Gateway)
IN_FLIGHT = web.AppKey("in_flight", InFlight)
