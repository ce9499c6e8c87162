"""What it costs a request to name a prompt: CPU beside the request that says the same itself.

python -m tests.bench.prompts

Both are read to the end, by fresh bodies each time: what a memory of repeated bodies saves is left out.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

from gateway.clock import SystemClock
from gateway.exchange import Gone, Incoming
from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.prompts.version import Arm, Prompt, Version
from gateway.record import Record
from gateway.steps.prompted import Prompted
from gateway.steps.turn import Turn
from gateway.tokens.count import TokenCounter
from gateway.tokens.encodings import Encodings
from gateway.wire.chat import Chat
from gateway.wire.endpoint import Endpoint
from gateway.wire.prompt_echo import Echo
from gateway.wire.reader import Reader
from gateway.wire.responses import Responses

ROUNDS, PER_ROUND = 30, 500
CONTEXT = "The order was sent on Monday and has not arrived. " * 20
SYSTEM = "You help customers of {{ shop }}. Be brief, and never promise a date. " + "Rules apply. " * 40
USER = "Answer based on: {{ context }}\nQuestion: {{ question }}"


class One:
    """A registry of one prompt."""

    is_empty = False

    def __init__(self, document: PromptDocument) -> None:
        version = Version(1, document, document.digest, "bench", 0)
        self._prompt = Prompt("support", "pmpt_1", {1: version}, {"production": (Arm(1, 1),)}, {})

    def get(self, _: str) -> Prompt:
        return self._prompt


def document(**more: Any) -> PromptDocument:
    return PromptDocument(
        name="support",
        model="gpt-5-mini",
        messages=(Message(role="developer", content=SYSTEM), Message(role="user", content=USER)),
        variables={"shop": Variable(default="Acme"), "context": Variable(), "question": Variable(), **more},
    )


def turn(endpoint: Endpoint, body: bytes) -> Turn:
    record = Record("r", endpoint.name, 0.0, 0.0)
    return Turn(endpoint, Incoming("r", {}, body, 0.0), Gone(), record, SystemClock())  # type: ignore[arg-type]


def named(number: int) -> bytes:
    variables = {"context": CONTEXT, "question": f"Where is order {number}?"}
    return written({"prompt": {"id": "support", "variables": variables}, "temperature": 0.2})


def said(number: int, endpoint: str) -> bytes:
    system = SYSTEM.replace("{{ shop }}", "Acme")
    user = f"Answer based on: {CONTEXT}\nQuestion: Where is order {number}?"
    fields: dict[str, Any] = {"model": "gpt-5-mini", "temperature": 0.2}
    if endpoint == "chat":
        fields["messages"] = [{"role": "developer", "content": system}, {"role": "user", "content": user}]
    else:
        fields |= {"instructions": system, "input": [{"role": "user", "content": user}]}
    return written(fields)


def written(fields: dict[str, Any]) -> bytes:
    """As the `openai` client writes it."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


async def cpu_us(work: Callable[[bytes], Coroutine[Any, Any, object]], body: Callable[[int], bytes]) -> float:
    """Of one call, the median of the rounds' means."""
    found, number = [], 0
    for _ in range(ROUNDS):
        bodies = [body(number + each) for each in range(PER_ROUND)]
        number += PER_ROUND
        began = time.thread_time()
        for each in bodies:
            await work(each)
        found.append((time.thread_time() - began) / PER_ROUND * 1e6)
    return median(found)


async def main() -> None:
    counter = TokenCounter(Encodings())
    plain = document()
    for title, registry in (
        ("two messages, three variables", One(plain)),
        ("one of them untrusted", One(document(context=Variable(untrusted=True)))),
        ("under a token budget", One(plain.model_copy(update={"token_budget": 2_000}))),
    ):
        prompted = Prompted(Reader(500_000), counter, registry)
        for endpoint in (Chat(), Responses()):

            async def by_name(body: bytes, endpoint: Endpoint = endpoint, prompted: Prompted = prompted) -> object:
                here = turn(endpoint, body)
                assert prompted.unprompted(here) is None
                return await prompted.rendered(here)

            async def itself(body: bytes, endpoint: Endpoint = endpoint, prompted: Prompted = prompted) -> object:
                return prompted.unprompted(turn(endpoint, body))

            whole = await cpu_us(by_name, named)
            base = await cpu_us(itself, lambda number, endpoint=endpoint: said(number, endpoint.name))  # type: ignore[misc]
            print(f"{title:32} {endpoint.name:10} {whole:6.1f} us, said itself {base:6.1f}: adds {whole - base:5.1f}")
    await tell_echo()
    counter.close()


async def tell_echo() -> None:
    """What the answer costs more, since it tells its prompt."""

    class Sink(Gone):
        async def answer(self, *_: object) -> None:
            pass

        async def write(self, _: bytes) -> None:
            pass

    echo = Echo(Sink(), {"id": "pmpt_1", "variables": {"context": CONTEXT, "question": "?"}, "version": "1"})
    response = {"id": "r", "object": "response", "status": "completed", "prompt": None, "output": [{"text": CONTEXT}]}
    whole = json.dumps(response).encode()
    event = b'data: {"type":"response.completed","response":%b}\n\n' % whole
    delta = b'data: {"type":"response.output_text.delta","delta":"word"}\n\n'

    async def answer(_: bytes) -> None:
        await echo.answer(200, [], whole)

    async def last(_: bytes) -> None:
        await echo.write(event)

    async def each(_: bytes) -> None:
        await echo.write(delta)

    for title, work in (("an answer", answer), ("an event that carries it", last), ("any other event", each)):
        print(f"echo: {title:26} {await cpu_us(work, lambda _: b''):6.1f} us")


if __name__ == "__main__":
    asyncio.run(main())
