"""The gateway that serves, and how another takes its place without a request noticing.

    prepare(loaded) ──► built and started beside the one that serves ──┬─ commit()  ──► serves from the next request on
                                                                       └─ abandon() ──► closed, as if it had never been

A request keeps the gateway it began with. One that was replaced is closed when its last request is done.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.app import Gateway, running_gateway
from gateway.config.load import Loaded
from gateway.lasting import Lasting
from gateway.server import heap

log = logging.getLogger(__name__)


class Live:
    """Holds one gateway at any time; a request begins with `with live.gateway.use`."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway


class Changing(Live):
    """A `Live` that can be given another gateway; made by `changing`."""

    def __init__(self, first: "_Run", lasting: Lasting) -> None:
        super().__init__(first.gateway)
        self._lasting = lasting
        self._serving = first
        self._prepared: _Run | None = None
        self._retiring: set[_Run] = set()

    async def prepare(self, loaded: Loaded) -> None:
        """Build the gateway of `loaded`; raises ConfigError, and what was prepared before is gone."""
        await self.abandon()
        self._prepared = await _Run.start(loaded, self._lasting)

    def commit(self) -> None:
        """What was prepared serves from now on."""
        if self._prepared is None:
            return
        old, self._serving, self._prepared = self._serving, self._prepared, None
        self.gateway = self._serving.gateway
        self.gateway.come_into_force()
        self._retiring.add(old)
        old.retire(self._retiring.discard)

    async def abandon(self) -> None:
        if self._prepared is not None:
            prepared, self._prepared = self._prepared, None
            await prepared.end()

    async def close(self) -> None:
        """Close all there are; requests must be over by now."""
        for run in [self._serving, *([self._prepared] if self._prepared else []), *self._retiring]:
            await run.end()


@asynccontextmanager
async def changing(loaded: Loaded, lasting: Lasting) -> AsyncIterator[Changing]:
    """The gateway of `loaded` in force, until another one is; raises ConfigError."""
    live = Changing(await _Run.start(loaded, lasting), lasting)
    live.gateway.come_into_force()
    try:
        yield live
    finally:
        await live.close()


class _Run:
    """One gateway from its building to its end, all of it in one task."""

    gateway: Gateway

    def __init__(self, loaded: Loaded, lasting: Lasting) -> None:
        self._loaded = loaded
        self._lasting = lasting
        self._built = asyncio.Event()
        self._ending = asyncio.Event()
        self._is_retired = False
        self._task = asyncio.create_task(self._run(), name="keep a gateway")

    @classmethod
    async def start(cls, loaded: Loaded, lasting: Lasting) -> "_Run":
        """Raises what the building raises."""
        run = cls(loaded, lasting)
        built = asyncio.create_task(run._built.wait(), name="wait for a gateway")
        try:
            await asyncio.wait((built, run._task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            run._task.cancel()
            await asyncio.gather(run._task, return_exceptions=True)
            raise
        finally:
            built.cancel()
        if run._task.done():
            run._task.result()
        return run

    async def _run(self) -> None:
        try:
            async with running_gateway(self._loaded, self._lasting) as self.gateway:
                self._built.set()
                await self._ending.wait()
                if self._is_retired:
                    await self.gateway.use.until_idle()
            if self._is_retired:
                del self.gateway
                heap.tidy()
        except Exception:
            if not self._built.is_set():
                raise
            log.exception("a gateway could not be closed cleanly")

    def retire(self, forget: Callable[["_Run"], None]) -> None:
        """End when the last request is done."""
        self._is_retired = True
        self._ending.set()
        self._task.add_done_callback(lambda _: forget(self))

    async def end(self) -> None:
        """End now, whatever it serves."""
        if self._is_retired:
            self._task.cancel()
        self._ending.set()
        await asyncio.gather(self._task, return_exceptions=True)
