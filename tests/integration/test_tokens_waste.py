"""The $12,000 space, played: a template begins to put its context in twice, and the gateway says so."""

import random
from typing import Any

from tests.support.gateway import RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(400, 2)))
WORDS = ["order", "parcel", "refund", "invoice", "address", "window", "delivery", "Tuesday", "label", "carrier"]
NORMAL, BROKEN = 160, 20


def prompt(seed: int, *, is_broken: bool) -> list[dict[str, str]]:
    """Instructions, two to four documents that were found, and a question; the bug: a blank, and all of them again."""
    rng = random.Random(seed)
    sentences = (" ".join(rng.choices(WORDS, k=12)).capitalize() + "." for _ in range(rng.randint(20, 40)))
    context = "\n".join(sentences)
    if is_broken:
        context = f"{context} \n{context}"
    question = f"What does document {seed} say about the {rng.choice(WORDS)}?"
    return [
        {"role": "system", "content": "You answer from the documents below."},
        {"role": "user", "content": f"{context}\n\n{question}"},
    ]


async def send(gw: RunningGateway, seeds: range, *, is_broken: bool) -> None:
    for seed in seeds:
        await gw.chat(model="gpt-4o", messages=prompt(seed, is_broken=is_broken))


async def test_a_template_that_doubles_its_context_is_noticed_within_20_requests() -> None:
    labels: dict[str, Any] = {"route": "default"}
    async with ScriptedUpstream(*[ANSWER] * (NORMAL + BROKEN)) as up, gateway(config(up.base_url)) as gw:
        await send(gw, range(NORMAL), is_broken=False)
        before = await gw.metrics()
        assert before("gateway_wasted_tokens_total", kind="repeat", **labels) == 0
        assert before("gateway_prompt_length_anomalies_total", **labels) == 0

        await send(gw, range(NORMAL, NORMAL + BROKEN), is_broken=True)
        await gw.until(lambda scrape: scrape("gateway_wasted_tokens_total", kind="repeat", **labels) > 0)
        after = await gw.metrics()
        assert after("gateway_prompt_length_anomalies_total", **labels) >= 5
        assert after("gateway_wasted_usd_total", kind="repeat", **labels) > 0
