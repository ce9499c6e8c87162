"""A small part of `make fuzz`, with every `make test`."""

from itertools import islice

from tests.fuzz.cases import cuts_everywhere
from tests.fuzz.corpus import CORPUS
from tests.fuzz.requests import at_random, run


async def test_both_lanes_answer_the_same() -> None:
    sample = islice(cuts_everywhere(CORPUS), 0, None, 29)
    assert await run(sample) > 300
    assert await run(at_random(seed=20261122, count=700)) == 700
