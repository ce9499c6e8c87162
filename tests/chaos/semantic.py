"""The semantic cache in front of the worst embeddings model there is, and of one in trouble.

The model finds all questions alike, so that the guard alone keeps them apart: every question names its number, and an
answer with another one is seen. Then it hangs, fails, refuses and dawdles, under 200 requests a second. A gateway as a
process of its own; part of `python -m tests.chaos semantic`.
"""

import asyncio
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from tests.chaos.cache import RATE, ask
from tests.chaos.figures import Figure
from tests.support.process import serving
from tests.support.upstream import Reply, Reset, ScriptedUpstream, Seen, Stall, Step, chat_body, usage

PHASE_S = 5.0
TIMEOUT_S = 0.3
QUESTIONS = 400
CONFIG = """\
server: {{port: 0, admin: {{port: 0}}, log: {{access: false}}}}
auth: none
ledger: none
upstreams:
  up: {{base_url: "{up}"}}
  vectors: {{base_url: "{vectors}"}}
cache: {{embeddings: {{target: vectors/worst, timeout_s: {timeout_s}}}}}
routes:
  - name: default
    upstream: up
    cache: {{ttl_s: 1, share: everyone, semantic: {{least_checks: 20, same_from: 0.1}}}}
"""
WORDINGS = (
    "How do I open box number {}?",
    "How can I open box number {}?",
    "Please tell me how I can open box number {}?",
    "How to open box number {}?",
    "Can you tell me how do I open the box number {}?",
    "How do I not open box number {}?",
    "How do I open box number {} before the other?",
)
"""The last two are other questions; their answers say so."""
VECTOR = Reply.of({"data": [{"embedding": [0.6, 0.8]}], "usage": {"prompt_tokens": 9, "total_tokens": 9}})
TROUBLES: dict[str, Step | float] = {
    "as it should be": VECTOR,
    "hanging": Stall(),
    "well again": VECTOR,
    "failing": Reply.of({"error": {"message": "no"}}, status=500),
    "refusing": Reset(),
    "slow: 0.2 s each": 0.2,
    "well in the end": VECTOR,
}


def heart(question: str) -> str:
    """What an answer must be about: the number, and what turns the question round."""
    return " ".join(re.findall(r"\d+|\bnot\b|\bbefore\b", question))


class Vectors:
    def __init__(self) -> None:
        self.trouble: Step | float = VECTOR

    async def __call__(self, _: Seen) -> Step:
        if isinstance(self.trouble, float):
            await asyncio.sleep(self.trouble)
            return VECTOR
        return self.trouble


def answer(seen: Seen) -> Step:
    return Reply.of(chat_body(seen.json()["messages"][-1]["content"], usage=usage(8, 2)))


async def run() -> list[Figure]:
    figures, vectors, chance = [], Vectors(), random.Random(7)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up = await stack.enter_async_context(ScriptedUpstream(then=answer))
        model = await stack.enter_async_context(ScriptedUpstream(then=vectors))
        text = CONFIG.format(up=up.base_url, vectors=model.base_url, timeout_s=TIMEOUT_S)
        (folder / "gateway.yaml").write_text(text)
        process = await stack.enter_async_context(serving(cwd=folder))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        before: Counter[str] = Counter()
        for label, trouble in TROUBLES.items():
            vectors.trouble = trouble
            answers = []
            began = time.monotonic()
            for number in range(int(RATE * PHASE_S)):
                question = chance.choice(WORDINGS).format(chance.randrange(QUESTIONS))
                answers.append((question, asyncio.ensure_future(ask(http, process, question))))
                await asyncio.sleep(max(0, began + (number + 1) / RATE - time.monotonic()))
            found = [(question, await task) for question, task in answers]
            async with http.get(process.admin_url + "/metrics") as response:
                now = results(await response.text())
            figures.append(figure(label, found, now - before))
            before = now
    return figures


def results(text: str) -> Counter[str]:
    found = re.findall(r'^gateway_semantic_lookups_total\{.*result="(\w+)".*\} (\S+)', text, re.MULTILINE)
    return Counter({result: int(float(count)) for result, count in found})


def figure(label: str, found: list[tuple[str, tuple[int, str, float]]], lookups: Counter[str]) -> Figure:
    wrong = sum(status != 200 or heart(said) != heart(question) for question, (status, said, _) in found)
    took = sorted(1000 * seconds for _, (_, _, seconds) in found)
    measured = (
        f"{len(found):,} requests, {wrong} wrong or failed, {lookups['hit']} semantic hits,"
        f" p50 {statistics.median(took):.1f} ms, p99 {took[int(len(took) * 0.99)]:.0f} ms"
    )
    is_bounded = took[-1] < 1000 * (TIMEOUT_S + 1)
    return Figure(f"an embeddings model {label}", measured, "none, within 1.3 s", holds=not wrong and is_bounded)


def main() -> list[Figure]:
    return asyncio.run(run())
