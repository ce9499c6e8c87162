"""Sends the demo's requests through OpenAI's own client, a few at a time."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from openai import AsyncOpenAI, BadRequestError, DefaultAsyncHttpxClient, OpenAIError

from gateway.demo.sample import Ask
from gateway.values import NANO

CONCURRENCY = 12
TIMEOUT_S = 60


@dataclass(slots=True)
class Outcome:
    """What the client saw; the figures of the table are the gateway's own."""

    answered: int = 0
    cost_nanousd: int = 0
    """What the headers of the answers that were not streamed add up to."""
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
            cost_nanousd = await _send(client.with_options(api_key=ask.way.key), ask)
        except BadRequestError as error:
            if ask.is_too_long and error.code == "context_length_exceeded":
                outcome.refused += 1
            else:
                outcome.failures.append(str(error))
        except OpenAIError as error:
            outcome.failures.append(str(error))
        else:
            outcome.answered += 1
            outcome.cost_nanousd += cost_nanousd
        advance()


async def _send(client: AsyncOpenAI, ask: Ask) -> int:
    """What the answer says it cost, in nano-dollars; 0 for a stream, which says nothing of it."""
    if not ask.is_stream:
        answer = await client.chat.completions.with_raw_response.create(**ask.body())
        answer.parse()
        return int(Decimal(answer.headers["x-gateway-cost-usd"]) * NANO)
    async with client.chat.completions.stream(**ask.body()) as stream:
        await stream.until_done()
    return 0
