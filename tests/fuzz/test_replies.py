"""A small part of `python -m tests.fuzz.replies`, with every `make test`."""

from itertools import islice

from tests.fuzz.cases import cuts_everywhere
from tests.fuzz.replies import CORPUS, at_random, run


async def test_whatever_comes_back_disturbs_nobody() -> None:
    assert await run(islice(cuts_everywhere(CORPUS), 0, None, 3)) > 800
    assert await run(at_random(seed=20261122, count=2000)) == 2000
