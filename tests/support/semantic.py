"""A route with a semantic cache in front of a model that answers by question, and one that has a vector for each."""

from typing import Any

from tests.support.gateway import ADMIN_KEY, Answer, RunningGateway, config
from tests.support.upstream import Reply, Seen, Step, Stream, chat_body, chat_chunks, usage

RESET = "How do I reset my password?"
RESET_TOO = "How can I reset the password that is my own?"
RESET_NOT = "How do I not reset my password?"
NEAR, FAR = [1.0, 0.0, 0.0, 0.1], [0.0, 1.0, 0.0, 0.0]
KEYS = [{"name": "red", "key": "key-red-one"}, {"name": "blue", "key": "key-blue-one"}]
OPEN = {"least_checks": 1, "check": 1e-9, "max_wrong": 0.5}
"""Open after one comparison that proved right; from then on hardly anything is compared."""


class Api:
    """A model that answers by question, and one that has a vector for each."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.vectors: dict[str, Any] = {}
        self.embedding: Step | None = None
        """In place of a vector."""
        self.embedded: list[str] = []
        self.asked: list[str] = []

    def __call__(self, request: Seen) -> Step:
        asked = request.json()
        if request.path.endswith("/embeddings"):
            self.embedded.append(asked["input"])
            vector = self.vectors.get(asked["input"], NEAR)
            data = [{"object": "embedding", "index": 0, "embedding": vector}]
            used = {"prompt_tokens": 7, "total_tokens": 7}
            return self.embedding or Reply.of({"object": "list", "data": data, "model": "e", "usage": used})
        question = asked["messages"][-1]["content"]
        self.asked.append(question)
        text = self.answers.get(question, "Press the button.")
        if asked.get("stream"):
            return Stream.of(*chat_chunks(text, usage=usage(8, 2)))
        return Reply.of(chat_body(text, usage=usage(8, 2)))


def semantic(
    url: str, store: str = "memory", embeddings: dict[str, Any] | None = None, **policy: Any
) -> dict[str, Any]:
    cache = {"ttl_s": 60, "share": "everyone", "semantic": {**OPEN, **policy}}
    return config(
        url,
        store=store,
        store_timeout_s=2,
        auth="required",
        keys=KEYS,
        server={"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}},
        cache={"embeddings": {"target": "up/text-embedding-3-small", "timeout_s": 5, **(embeddings or {})}},
        routes=[{"name": "default", "upstream": "up", "cache": cache}],
    )


async def ask(gw: RunningGateway, question: str, key: str = "key-red-one", **fields: Any) -> Answer:
    headers = fields.pop("headers", None)
    answer = await gw.chat(key=key, messages=[{"role": "user", "content": question}], headers=headers, **fields)
    assert answer.status == 200
    return answer


async def opened(gw: RunningGateway) -> None:
    """Ask a question in three ways: the first is stored, the second compared with it."""
    await ask(gw, "Why is the sky blue?")
    await ask(gw, "Why does the sky be blue?")
    await gw.until(lambda scrape: scrape("gateway_semantic_state", route="default") == 1)


def is_semantic(answer: Answer) -> bool:
    return answer.headers["Cache-Status"].endswith("; detail=semantic")


async def looked(gw: RunningGateway, result: str) -> float:
    return await gw.metric("gateway_semantic_lookups_total", route="default", result=result)
