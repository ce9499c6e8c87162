"""What the fuzzers have in common: bytes cut into pieces, tried one case after the other until one goes wrong."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import uvloop


@dataclass(frozen=True, slots=True)
class Case:
    data: bytes
    cuts: tuple[int, ...]
    """Where it is cut into pieces."""
    seed: int

    def pieces(self) -> list[bytes]:
        ends = [0, *sorted(self.cuts), len(self.data)]
        return [self.data[start:end] for start, end in pairwise(ends)]


def cuts_everywhere(corpus: Iterable[bytes]) -> Iterator[Case]:
    """Each of `corpus` cut in two at each of its bytes, and into single bytes."""
    for data in corpus:
        for cut in range(len(data)):
            yield Case(data, (cut,), cut)
        yield Case(data, tuple(range(1, len(data))), 0)


async def run_each(
    cases: Iterable[Case], run_case: Callable[[Case], Awaitable[object]], *, total: int | None = None
) -> int:
    """How many were run; AssertionError with the case at the first that goes wrong.

    With `total` it says how far it is.
    """
    began = time.monotonic()
    done = 0
    for case in cases:
        try:
            async with asyncio.timeout(20):
                await run_case(case)
        except Exception as error:
            raise AssertionError(f"{case}\n{error!r}") from error
        done += 1
        if total and done % 5000 == 0:
            sys.stdout.write(f"{done:,} of {total:,} cases, {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()
    return done


def command(
    doc: str | None,
    run: Callable[[Iterable[Case], int], Coroutine[Any, Any, int]],
    *,
    first: Sequence[Case],
    at_random: Callable[[int, int], Iterator[Case]],
    count: int,
    well: str,
) -> None:
    """`run` over the `first` cases and then `--count` random ones; exit code 1 and the case where one goes wrong, else
    `well` is said of them."""
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=count, help="of random cases")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    try:
        done = uvloop.run(run(chain(first, at_random(given.seed, given.count)), len(first) + given.count))
    except AssertionError as error:
        sys.stdout.write(f"{error}\n")
        sys.exit(1)
    sys.stdout.write(f"{done:,} cases, seed {given.seed}: {well}\n")
