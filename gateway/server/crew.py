"""The processes that serve traffic, as the admin port sees them: one alone, or several behind a supervisor.

What operators ask is answered by every process for itself (`Gateway.answers`), and put together by the
handler that asked. Whether there is one process or ten is decided here and nowhere else.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import web

from gateway.app import Gateway
from gateway.config.model import Config
from gateway.errors import BadRequest, GatewayError, NotFound
from gateway.server.live import Live
from gateway.server.load import InFlight

Arguments = Mapping[str, Any]
"""What goes with a question; JSON values, for it may cross to another process."""


class Crew(Protocol):
    @property
    def config(self) -> Config:
        """The one in force."""
        ...

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether traffic may come, and what `/readyz` says of it."""
        ...

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The exposition for a scraper that accepts `accept`, over all processes, and its content type."""
        ...

    async def ask(self, question: str, arguments: Arguments) -> list[Any]:
        """What each process that is up answers, as JSON values.

        Raises what the question raises; ProcessSilent when one of them does not answer in time.
        """
        ...


CREW = web.AppKey("crew", Crew)


class Alone:
    """This process serves the traffic itself."""

    def __init__(self, live: Live, in_flight: InFlight) -> None:
        self._live = live
        self._in_flight = in_flight

    @property
    def config(self) -> Config:
        return self._live.gateway.config

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        if self._in_flight.is_draining:
            return False, {"status": "draining"}
        return True, {"status": "ready"}

    def metrics(self, accept: str) -> tuple[bytes, str]:
        return self._live.gateway.metrics.render(accept)

    async def ask(self, question: str, arguments: Arguments) -> list[Any]:
        return [await answer(self._live.gateway, question, arguments)]


async def answer(gateway: Gateway, question: str, arguments: Arguments) -> Any:
    """What the gateway of this process answers; NotFound for a question that it does not know."""
    try:
        answering = gateway.answers[question]
    except KeyError:
        raise NotFound(f"This gateway does not know the question '{question}'.") from None
    return await answering(arguments)


_KEPT = {cls.__name__: cls for cls in (BadRequest, NotFound)}
"""What the one who asked can mend; anything else is the gateway's own failure, wherever it was raised."""


def told(error: GatewayError) -> list[str | None]:
    """`error` on its way to the process that asked."""
    return [type(error).__name__, error.message, error.param]


def heard(error: list[str | None]) -> GatewayError:
    """The error that another process has `told`."""
    name, message, param = error
    return _KEPT.get(name or "", GatewayError)(message or "", param=param)
