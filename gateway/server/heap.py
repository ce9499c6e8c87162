"""Python's cyclic garbage collector, set for a process that serves.

As it comes, it looks through all young objects after every 700 net allocations, which is every few
requests, and now and then through everything there is: prices, classifier, compiled configuration,
modules. Requests leave no cycles behind, reference counting frees them, so nearly all of that is in
vain: it took an eighth of the CPU of a miss.
"""

import gc

YOUNG, MIDDLE, OLD = 20_000, 50, 100
"""Some hundred requests' objects between two looks; a look at them takes about 1 ms."""


def tidy() -> None:
    """Call after something large was let go, as a gateway that was replaced: what of it lies in circles goes now.

    A collection would come by itself only after hours; this one takes some 10 ms.
    """
    gc.collect()


def settle() -> None:
    """Call once everything that stays is built: it is never looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
