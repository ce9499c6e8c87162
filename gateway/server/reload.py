"""When the configuration is read anew, and what becomes of it: in force as a whole, or refused with its reasons.

It is read on SIGHUP, and when one of its files has become another: the file itself, those it takes secrets
from, classifiers, CA bundles. A Kubernetes volume swaps a symbolic link (`..data`) above all of them, which
is seen as well, since what is looked at is where a path leads.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gateway.config.check import cross_check
from gateway.config.load import Loaded
from gateway.config.process import Server
from gateway.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often files are looked at, where nothing tells of changes."""
_SETTLE_S = 0.1
"""A file that was the same for so long is not being written any more."""

Stamps = list[tuple[int, int, int, int] | None]


class Reloads:
    """Reads and applies; `change` makes a configuration serve or raises ConfigError and leaves all as it was."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        read: Callable[[], Loaded],
        change: Callable[[Loaded], Awaitable[None]],
        count: Callable[[str], None],
        server: Server,
    ) -> None:
        """`server` is what the process really runs with; `count` is told `ok` or `refused`."""
        self._loaded = loaded
        self._read = read
        self._change = change
        self._count = count
        self._server = server
        self._is_asked = False
        self._wake = asyncio.Event()

    def ask(self) -> None:
        """Read it even if no file has changed."""
        self._is_asked = True
        self._wake.set()

    async def run(self) -> None:
        """Never ends."""
        seen: Stamps | None = None  # a file may have changed between its reading and now: it is read once more
        watching = asyncio.create_task(_watch(self._loaded.files, self._wake), name="watch the configuration")
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_S)
                self._wake.clear()
                stamps = await asyncio.to_thread(_stamps, self._loaded.files)
                if not self._is_asked and stamps == seen:
                    continue
                while (later := await self._stamps_after(_SETTLE_S)) != stamps:
                    stamps = later
                is_asked, self._is_asked = self._is_asked, False
                await self._reload(is_asked=is_asked)
                seen = stamps
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _stamps_after(self, seconds: float) -> Stamps:
        await asyncio.sleep(seconds)
        return await asyncio.to_thread(_stamps, self._loaded.files)

    async def _reload(self, *, is_asked: bool) -> None:
        try:
            loaded = await asyncio.to_thread(self._read)
            if not is_asked and loaded == self._loaded:
                return
            await self._change(_on(self._server, loaded))
        except ConfigError as error:
            self._count("refused")
            for problem in error.problems:
                log.error("configuration refused, the one in force stays: %s", problem)
            return
        except Exception:
            self._count("refused")
            log.exception("configuration could not be put in force, the one before stays")
            return
        self._count("ok")
        for name in _changed(self._loaded.config.server, loaded.config.server):
            log.warning("server.%s has changed: that needs a restart; all else is in force", name)
        for warning in loaded.warnings:
            log.warning("%s", warning)
        log.info("configuration %s is in force", loaded.hash)
        self._loaded = loaded


@asynccontextmanager
async def reloading(reloads: Reloads | None) -> AsyncIterator[None]:
    """While the block lasts, SIGHUP and changed files lead to a reload; without `reloads` nothing does."""
    if reloads is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reloads.ask)
    task = asyncio.create_task(reloads.run(), name="reload the configuration")
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _on(server: Server, loaded: Loaded) -> Loaded:
    """`loaded` on the `server` that runs; ConfigError where the two do not go together."""
    config = loaded.config.model_copy(update={"server": server})
    problems = [problem for problem in cross_check(config) if not problem.is_warning]
    if problems:
        raise ConfigError([problem.told("with the server section in force") for problem in problems])
    return replace(loaded, config=config)


def _changed(old: Server, new: Server) -> list[str]:
    return [name for name in Server.model_fields if getattr(old, name) != getattr(new, name)]


def _stamps(files: Sequence[Path]) -> Stamps:
    """What tells one state of the files from another; None for one that is not there."""
    stamps: Stamps = []
    for file in files:
        try:
            found = file.stat()
            stamps.append((found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size))
        except OSError:
            stamps.append(None)
    return stamps


async def _watch(files: Sequence[Path], wake: asyncio.Event) -> None:
    """Set `wake` when something happens beside one of `files`, if the [reload] extra is installed."""
    try:
        from watchfiles import awatch
    except ImportError:
        return
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every change of every file
    folders = {file.parent for file in files if file.parent.is_dir()}
    names = {file.name for file in files} | {"..data"}

    def is_ours(_: object, path: str) -> bool:
        return Path(path).name in names

    try:
        async for _ in awatch(
            *folders, watch_filter=is_ours, recursive=False, debounce=50, step=20, raise_interrupt=False
        ):
            wake.set()
    except Exception:  # looking every 2 s goes on
        log.warning("changes of the configuration's files cannot be watched", exc_info=True)
