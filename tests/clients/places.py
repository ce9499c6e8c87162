"""Where a client is pointed at: a model API, or the gateway before it."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.config.model import Upstream
from tests.clients.driven import Task
from tests.clients.matrix import Scenario
from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Seen, Step

UPSTREAM_KEY = "sk-upstream-0123456789"
OWN_KEY = "sk-own-0123456789abcdef"

_ONE_TRY: dict[str, Any] = {"retries": {"attempts": 1}} if "retries" in Upstream.model_fields else {}
"""The gateway's own retries, once it has some, would hide the client's."""


@dataclass(frozen=True, slots=True)
class Place:
    base_url: str
    key: str

    def task(self, scenario: Scenario, *, max_retries: int = 0) -> Task:
        return Task(
            scenario.call, self.base_url, self.key, scenario.arguments, scenario.headers, max_retries=max_retries
        )


@dataclass(frozen=True, slots=True)
class Places:
    """The simulator and two gateways before it, which live as long as the test run."""

    direct: Place
    gateway: Place
    """With keys of its own, as in production."""
    passthrough: Place
    """For clients that bring the upstream's key."""


def before(upstream_url: str, **sections: Any) -> dict[str, Any]:
    """The configuration of a gateway before `upstream_url` that knows OWN_KEY."""
    up = {"base_url": upstream_url, "api_key": UPSTREAM_KEY, **_ONE_TRY}
    own = {"auth": "required", "keys": [{"name": "team-a", "key": OWN_KEY}]}
    return config(upstream_url, **{"upstreams": {"up": up}, **own, **sections})


class Scripted:
    """An upstream that plays what a test says next, and a gateway before it; both live as long as the test run."""

    def __init__(self, upstream: ScriptedUpstream, script: deque[Step], gateway_url: str) -> None:
        self._upstream = upstream
        self._script = script
        self.direct = Place(upstream.base_url, UPSTREAM_KEY)
        self.gateway = Place(f"{gateway_url}/v1", OWN_KEY)

    def play(self, *steps: Step) -> None:
        """From now on play these, as if nothing had been asked before."""
        self._script.clear()
        self._script.extend(steps)
        self.requests.clear()

    @property
    def requests(self) -> list[Seen]:
        return self._upstream.requests

    async def first(self) -> Seen:
        """The first request since `play`; waits for it."""
        return (await self._upstream.seen(1))[0]


@asynccontextmanager
async def scripted_upstream() -> AsyncIterator[Scripted]:
    script: deque[Step] = deque()

    def next_step(seen: Seen) -> Step:
        return script.popleft() if script else Reply.of({"error": {"message": "The script is over."}}, 500)

    async with ScriptedUpstream(then=next_step) as upstream, gateway(before(upstream.base_url)) as gw:
        yield Scripted(upstream, script, gw.url)
