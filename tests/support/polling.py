"""Waiting for a fact that nothing tells of."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

_PAUSE_S = 0.01
"""Without a pause the asking would take the core that the answer is made on."""


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within_s: float = 20) -> None:
    """Ask `holds` again and again; TimeoutError when it still does not hold after `within_s`."""
    async with asyncio.timeout(within_s):
        while not (await found if isawaitable(found := holds()) else found):  # noqa: ASYNC110 - it is no event of ours
            await asyncio.sleep(_PAUSE_S)
