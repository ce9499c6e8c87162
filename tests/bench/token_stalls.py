"""The event loop's longest stall while hostile prompts are counted: `python -m tests.bench.token_stalls`.

A task notes how late each of its 1 ms sleeps wakes, as every other request would be; of each run the worst counts.
Neighbours on the machine add to it, so the best of seven runs says most about the code, and the first line how much
they add. `cpu` is the process's CPU as a multiple of what honest prose of as many bytes costs.
"""

import asyncio
import base64
import gc
import json
import random
import statistics
import string
import time
from typing import Any

from gateway.tokens.count import TokenCounter
from gateway.values import Request
from tests.support.token_rows import rows
from tests.support.tokens import encodings

BYTES = 1_000_000
REPEATS = 7


def prose(rng: random.Random) -> str:
    """The words of our own recorded chats in another order: honest text that does not repeat itself."""
    texts = (message.get("content") for row in rows() for message in row.request.fields.get("messages", ()))
    words = " ".join(text for text in texts if isinstance(text, str) and text.isascii()).split(" ")
    return " ".join(rng.choices(words, k=BYTES // 4))[:BYTES]


def hostile() -> dict[str, Any]:
    rng = random.Random(7)
    letters = "".join(rng.choices(string.ascii_lowercase, k=BYTES))
    words = ("".join(rng.choices(string.ascii_letters, k=rng.randint(2, 11))) for _ in range(BYTES // 7))
    defs = {str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(60)}
    tool = {"name": "f", "parameters": {"properties": {"a": {"$ref": "#/$defs/0"}}, "$defs": defs}}
    return {
        "prose": prose(rng),
        "random words": " ".join(words)[:BYTES],
        "one letter": "a" * BYTES,
        "aA": "aA" * (BYTES // 2),
        "spaces": " " * BYTES,
        "newlines": "\n" * BYTES,
        "slash newline": "/\n" * (BYTES // 2),
        "exclamation marks": "!" * BYTES,
        "digits": "7" * BYTES,
        "random letters": letters,
        "runs of 1023": " ".join(letters[i : i + 1023] for i in range(0, BYTES, 1023)),
        "base64": base64.b64encode(rng.randbytes(BYTES * 3 // 4)).decode(),
        "mixed scripts": "".join(
            chr(rng.choice((0x61, 0x430, 0x5D0, 0x4E00, 0x3042)) + i % 20) for i in range(BYTES // 2)
        ),
        "combining marks": ("a" + "\u0301" * 3) * (BYTES // 7),
        "emoji": "\U0001f468\u200d\U0001f469" * (BYTES // 11),
        "random code points": "".join(chr(rng.randint(0x100, 0xD7FF)) for _ in range(BYTES // 3)),
        "lone surrogates": "\ud800" * (BYTES // 3),
        "nested brackets": "[" * (BYTES // 2) + "]" * (BYTES // 2),
        "10,000 messages": ["Hello there."] * 10_000,
        "a tool of references": tool,
    }


def request_of(value: Any) -> Request:
    if isinstance(value, dict):
        fields = {"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": value}]}
    else:
        contents = value if isinstance(value, list) else [value]
        fields = {"messages": [{"role": "user", "content": content} for content in contents]}
    return Request("chat", json.dumps(fields).encode(), fields, "gpt-4o")


async def longest_stall(work: Any) -> tuple[float, float]:
    """Seconds by which the ticker was late at worst while `work` ran, and CPU seconds of the process."""
    worst = 0.0
    is_done = False

    async def tick() -> None:
        nonlocal worst
        while not is_done:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - due)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    worst, cpu = 0.0, time.process_time()
    await work
    cpu = time.process_time() - cpu
    await asyncio.sleep(0.005)
    is_done = True
    await ticker
    return worst, cpu


async def main() -> None:
    prompts = {name: request_of(value) for name, value in hostile().items()}
    gc.collect()
    gc.freeze()
    idle = [(await longest_stall(asyncio.sleep(0.3)))[0] * 1e3 for _ in range(REPEATS)]
    print(f"nothing to count: {min(idle):.1f} ms late at best, {statistics.median(idle):.1f} in the median\n")
    print(f"{'prompt':22}{'bytes':>10}{'tokens':>10}  {'kind':8}{'stall ms: best':>15}{'median':>8}{'cpu':>7}")
    prose_cpu = 0.0
    for name, request in prompts.items():
        runs = []
        for _ in range(REPEATS):
            counter = TokenCounter(encodings())
            runs.append(await longest_stall(counter.estimate(request, "gpt-4o")))
            estimate = await counter.estimate(request, "gpt-4o")
            counter.close()
        stalls, cpu = [stall * 1e3 for stall, _ in runs], min(cpu for _, cpu in runs)
        prose_cpu = prose_cpu or cpu
        size = len(request.body)
        print(
            f"{name:22}{size:10,}{estimate.prompt_tokens:10,}  {estimate.kind:8}"
            f"{min(stalls):15.1f}{statistics.median(stalls):8.1f}{cpu / prose_cpu * BYTES / size:7.1f}"
        )


if __name__ == "__main__":
    asyncio.run(main())
