"""By which names a port on loopback may be called.

A page whose own name its owner lets resolve to 127.0.0.1 (DNS rebinding) has one origin with whatever listens there, as
its browser sees it: what it reads carries no Origin, and it sees the answer. Only the Host tells its name. What
writes has an Origin in every browser, so this is about reading alone; and about names alone, for an address in
the Host is where the page came from.
"""

import ipaddress
from collections.abc import Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.errors import NotAllowed

_READS = frozenset({"GET", "HEAD"})
_PROBES = frozenset({"/healthz", "/readyz"})
"""They tell nobody anything, and balancers ask under names of their own."""


def is_own(host: str, names: Collection[str]) -> bool:
    """Whether `host`, a Host header with or without a port, is an address, localhost, one of `names`, or nothing."""
    name, _, port = host.rpartition(":")
    name = (name if port.isdigit() else host).strip("[]").lower()
    if name in ("", "localhost") or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def refuse_foreign_hosts(names: Collection[str], applies: Callable[[web.Request], bool]) -> Middleware:
    """Refuse to be read under another name than ours where that `applies`."""
    own = frozenset(name.lower() for name in names)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_reading = request.method in _READS and request.path not in _PROBES
        if is_reading and not is_own(request.headers.get("Host", ""), own) and applies(request):
            raise NotAllowed(
                "This port is for its own machine, and is read under that machine's own names only. If this one is "
                "yours, name it in server.hosts."
            )
        return await handler(request)

    return middleware
