"""The demo from start to end, as an asynchronous function that a signal may cancel at any point."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

import aiohttp

from gateway.config.load import Loaded, load
from gateway.demo import books, report, sample, shipped
from gateway.demo.drive import Outcome, drive
from gateway.server.run import Serving, running
from gateway.simulator.app import Simulator
from gateway.tokens.encodings import Encodings

FIRST_TOKEN_MS = 60
TOKENS_PER_SECOND = 800
"""The pace of the simulated model: some ten times a real one's, so that the demo is over in seconds."""

SEED = 1

Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Given the number of requests, what to call after each."""


@dataclass(frozen=True, slots=True)
class Options:
    requests: int
    port: int | None
    """For clients; the admin port is the next one. 0: free ones; None: as the configuration says, if they are free."""
    keeps_serving: bool


async def show(options: Options, env: Mapping[str, str], say: Callable[[str], None], progress: Progress) -> bool:
    """Run the demo and say what happens; False when a request failed that should not have."""
    async with _ledger() as ledger, _started(options, env, ledger) as (loaded, serving):
        keys = ", ".join(f"{key.name} ({key.team})" for key in loaded.config.keys)
        say("simulated upstream: a made-up model answers, at the prices of the real ones; nothing leaves this machine")
        say(f"gateway at {serving.url}, keys: {keys}")
        ways = sample.ways(loaded.config)
        waves = sample.waves(shipped.prompts(), ways, options.requests, random.Random(SEED))  # noqa: S311
        with progress(options.requests) as advance:
            outcome = await drive(f"{serving.url}/v1", waves, advance)
        figures = report.read(await _scrape(serving))
        say(_summary(loaded, figures, outcome))
        kept = await _books(ledger, figures, outcome)
        say(kept.told())
        say(_next_steps(loaded, serving, keeps_serving=options.keeps_serving))
        if options.keeps_serving:
            await asyncio.Event().wait()  # until cancelled
    return not outcome.failures and kept.agree


async def _books(ledger: str, by_route: Mapping[str, report.Figures], outcome: Outcome) -> books.Books:
    whole = report.total(by_route.values())
    return await books.read(
        ledger,
        requests=whole.requests,
        headers=outcome.cost_nanousd,
        spent_usd=whole.spent,
        saved_usd=whole.saved,
    )


@asynccontextmanager
async def _ledger() -> AsyncIterator[str]:
    """Where the demo keeps its books while it runs; what it spends is nobody's money."""
    with TemporaryDirectory(prefix="gateway-demo-") as folder:
        yield f"sqlite:///{folder}/ledger.db"


@asynccontextmanager
async def _started(options: Options, env: Mapping[str, str], ledger: str) -> AsyncIterator[tuple[Loaded, Serving]]:
    """Simulator and gateway. Access lines are for log collectors and would drown the table, so they are dropped."""
    encodings = Encodings()
    simulating = Simulator(
        first_token_ms=FIRST_TOKEN_MS, tokens_per_second=TOKENS_PER_SECOND, keep_calls=0, encodings=encodings
    )
    async with simulating as simulator:
        loaded = load(shipped.config_file("demo.yaml"), {**env, "SIMULATOR_URL": simulator.base_url})
        if options.port is not None:
            loaded = _on_port(loaded, options.port)
        elif not all(map(_is_free, (loaded.config.server.port, loaded.config.server.admin.port))):
            loaded = _on_port(loaded, 0)
        loaded = replace(loaded, config=loaded.config.model_copy(update={"ledger": ledger}))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            async with running(loaded, encodings=encodings, log_fd=nowhere) as serving:
                yield loaded, serving
        finally:
            os.close(nowhere)


def _on_port(loaded: Loaded, port: int) -> Loaded:
    server = loaded.config.server
    admin = server.admin.model_copy(update={"port": port + 1 if port else 0})
    server = server.model_copy(update={"port": port, "admin": admin})
    return replace(loaded, config=loaded.config.model_copy(update={"server": server}))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _scrape(serving: Serving) -> str:
    url = f"{serving.admin_url}/metrics"
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as reply:
        return await reply.text()


def _summary(loaded: Loaded, by_route: Mapping[str, report.Figures], outcome: Outcome) -> str:
    saved = report.saved_share(report.total(by_route.values()))
    lines = [
        "",
        report.table(by_route, [route.name for route in loaded.config.routes]),
        "",
        f"The cache and the cheap tier saved {saved:.0%} of what all this would have cost.",
        f"{outcome.refused} prompts over their route's cap were refused before they cost anything.",
        "Every figure is from the gateway's /metrics; the upstream was simulated.",
    ]
    if outcome.failures:
        lines.append(f"{len(outcome.failures)} requests failed, the first with: {outcome.failures[0]}")
    return "\n".join(lines)


def _next_steps(loaded: Loaded, serving: Serving, *, keeps_serving: bool) -> str:
    key = loaded.config.keys[0].key.get_secret_value()
    model = sample.ways(loaded.config)[0].model
    ask = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "What is the capital of Peru?"}}]}}'
    heading = (
        "Try it while it runs (Ctrl-C ends it):"
        if keeps_serving
        else "Run it in a terminal to keep it serving; then try:"
    )
    return "\n".join(
        [
            "",
            heading,
            f"  export OPENAI_BASE_URL={serving.url}/v1 OPENAI_API_KEY={key}",
            f"  curl -s {serving.url}/v1/chat/completions -H 'Authorization: Bearer {key}' -d '{ask}'",
            f"  curl -s {serving.admin_url}/metrics | grep usd",
        ]
    )
