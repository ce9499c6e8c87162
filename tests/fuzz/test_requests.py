"""A small part of `make fuzz`, with every `make test`."""

from itertools import islice

from tests.fuzz.requests import at_random, cuts_everywhere, run


async def test_both_lanes_answer_the_same() -> None:
    sample = islice(cuts_everywhere(), 0, None, 29)
    assert await run(sample, total=0, show=False) > 300
    assert await run(at_random(seed=20261122, count=700), total=0, show=False) == 700
