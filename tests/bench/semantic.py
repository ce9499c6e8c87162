"""What the semantic level costs a request: the guard, the partition, and a lookup among many vectors.

python -m tests.bench.semantic
"""

import json
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np

from gateway.cache.guard import marks_of
from gateway.cache.likeness import likeness_of
from gateway.cache.vectors import Vectors, unit
from gateway.values import Decision, Request, Target

QUESTION = "What are the common side effects of the flu vaccine in older adults who live alone?"
BUCKET = ("partition", b"marks")
ROUNDS = 300
COMMON = 0.5
"""How much all vectors have in common: those of real models lie in a cone, at a cosine of some 0.2."""


def main() -> None:
    fields = {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief. " * 50}, {"role": "user", "content": QUESTION}],
    }
    request = Request("chat", json.dumps(fields).encode(), fields, "m")
    decision = Decision((Target("up", "m"),), "none", "upstream")
    tell("guard", lambda: marks_of(QUESTION))
    tell("guard, partition", lambda: likeness_of(request, decision, route="r", scope="key:a"))
    chance = np.random.default_rng(1)
    for dimensions in (256, 1536, 3072):
        store, rows = (
            Vectors(1 << 30),
            chance.normal(size=(10_000, dimensions)) + COMMON * chance.normal(size=dimensions),
        )
        for number, row in enumerate(rows):
            vector = unit(row.tolist())
            assert vector is not None
            store.add(BUCKET, f"gw:cache:{'0' * 16}:{'0' * 16}:{number:064d}", vector, (1, 2, 3))
        asked = unit((rows[7] + 0.1 * chance.normal(size=dimensions)).tolist())
        assert asked is not None
        size = f"{store.size_bytes >> 20} MB"
        tell(f"10,000 vectors of {dimensions} dimensions, {size}", partial(store.near, BUCKET, asked, 0.97))


def tell(what: str, work: Callable[[], object]) -> None:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1e6)
    print(f"{what:50} median {median(taken):7.0f} µs   p90 {sorted(taken)[int(0.9 * ROUNDS)]:7.0f} µs")


if __name__ == "__main__":
    main()
