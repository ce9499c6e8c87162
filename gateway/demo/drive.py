"""Sends the demo's requests through OpenAI's own client, a few at a time."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from openai import AsyncOpenAI, BadRequestError, DefaultAsyncHttpxClient, OpenAIError

from gateway.demo.sample import Ask

CONCURRENCY = 12
TIMEOUT_S = 60


@dataclass(slots=True)
class Outcome:
    """What the client saw; the figures of the table are the gateway's own."""

    answered: int = 0
    refused: int = 0
    """Over the cap, as was to be expected."""
    failures: list[str] = field(default_factory=list)
    """What should not have happened, in words."""


async def drive(base_url: str, waves: Sequence[Sequence[Ask]], advance: Callable[[], None]) -> Outcome:
    """One wave after the other; `advance` is called after each request."""
    outcome = Outcome()
    direct = DefaultAsyncHttpxClient(trust_env=False)  # a proxy of the environment could not reach this machine
    async with AsyncOpenAI(
        base_url=base_url, api_key="set per request", max_retries=0, timeout=TIMEOUT_S, http_client=direct
    ) as client:
        for wave in waves:
            remaining = iter(wave)
            async with asyncio.TaskGroup() as workers:
                for _ in range(CONCURRENCY):
                    workers.create_task(_work(client, remaining, outcome, advance))
    return outcome


async def _work(client: AsyncOpenAI, remaining: Iterator[Ask], outcome: Outcome, advance: Callable[[], None]) -> None:
    """Takes the next request whenever it is free, side by side with others that take from the same iterator."""
    for ask in remaining:
        try:
            await _send(client.with_options(api_key=ask.way.key), ask)
        except BadRequestError as error:
            if ask.is_too_long and error.code == "context_length_exceeded":
                outcome.refused += 1
            else:
                outcome.failures.append(str(error))
        except OpenAIError as error:
            outcome.failures.append(str(error))
        else:
            outcome.answered += 1
        advance()


async def _send(client: AsyncOpenAI, ask: Ask) -> None:
    if not ask.is_stream:
        await client.chat.completions.create(**ask.body())
        return
    async with client.chat.completions.stream(**ask.body()) as stream:
        await stream.until_done()
