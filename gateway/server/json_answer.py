"""Answers of the admin port."""

from aiohttp import web

from gateway.wire import json_bytes


def json_response(value: object, *, status: int = 200) -> web.Response:
    """`value` as JSON that nobody on the way may keep."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return web.Response(status=status, body=json_bytes.dumps(value), headers=headers)
