"""One upstream fails in every way there is, before its answer and in it: the client is told the truth, and the next
request on the same gateway is answered whole."""

import asyncio

import uvloop

from tests.chaos.clients import ask, chat
from tests.chaos.faulty import WAYS, healthy
from tests.chaos.figures import Figure
from tests.chaos.gateways import config, running
from tests.support.upstream import ScriptedUpstream, Seen, Stall, Step

QUICK = {"first_byte_timeout_s": 0.5, "idle_timeout_s": 0.5, "total_timeout_s": 1, "retries": {"attempts": 1}}


class Once:
    """Fails the next request in the way that is set, and no other."""

    def __init__(self) -> None:
        self.way: Step | None = None

    def __call__(self, seen: Seen) -> Step:
        way, self.way = self.way, None
        return healthy(seen) if way is None else Stall(way.data) if isinstance(way, Stall) else way


async def fail_in_every_way() -> list[Figure]:
    once = Once()
    dishonest, poisoned = [], []
    async with ScriptedUpstream(then=once) as up, running(config({"up": {"base_url": up.base_url, **QUICK}})) as gw:
        for name, way in WAYS.items():
            for stream in (False, True):
                once.way = way
                async with asyncio.timeout(10):
                    first = await ask(gw.http, gw.url, chat("hello", stream=stream))
                    second = await ask(gw.http, gw.url, chat("hello again", stream=stream))
                once.way = None
                if not first.is_honest:
                    dishonest.append(f"{name}, stream={stream}: {first}")
                if not second.is_success:
                    poisoned.append(f"{name}, stream={stream}: {second}")
        tracebacks = gw.log().count("Traceback")
    told = 2 * len(WAYS)
    return [
        Figure(
            f"{len(WAYS)} ways to fail: told as it is, no false [DONE]",
            "; ".join(dishonest) or f"{told} of {told}",
            "all",
            not dishonest,
        ),
        Figure(
            "the next request, on the same gateway",
            "; ".join(poisoned) or f"{told} of {told} whole",
            "all",
            not poisoned,
        ),
        Figure("tracebacks", str(tracebacks), "none", tracebacks == 0),
    ]


def main() -> list[Figure]:
    return uvloop.run(fail_in_every_way())
