"""How much this process holds at the moment, and whether it still takes more."""

from gateway.errors import Overloaded


class InFlight:
    """Counts requests of the traffic port; `is_draining` turns readiness red before the sockets close."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0
        self.is_draining = False

    def enter(self) -> None:
        """Raises Overloaded when `limit` requests are there already; else `leave` has to follow, once."""
        if self.count >= self._limit:
            raise Overloaded
        self.count += 1

    def leave(self) -> None:
        self.count -= 1

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *exc_info: object) -> None:
        self.leave()
