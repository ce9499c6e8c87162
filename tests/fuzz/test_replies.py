"""A small part of `python -m tests.fuzz.replies`, with every `make test`."""

from itertools import islice

from tests.fuzz.replies import at_random, cuts_everywhere, run


async def test_whatever_comes_back_disturbs_nobody() -> None:
    assert await run(islice(cuts_everywhere(), 0, None, 3), total=0, show=False) > 800
    assert await run(at_random(seed=20261122, count=2000), total=0, show=False) == 2000
