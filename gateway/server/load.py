"""How much this process holds at the moment, and whether it still takes more."""

from gateway.errors import Overloaded


class InFlight:
    """Counts requests of the traffic port; `is_draining` turns readiness red before the sockets close."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0
        self.is_draining = False

    def __enter__(self) -> None:
        """Raises Overloaded when `limit` requests are there already."""
        if self.count >= self._limit:
            raise Overloaded
        self.count += 1

    def __exit__(self, *exc_info: object) -> None:
        self.count -= 1
