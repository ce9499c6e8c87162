"""What a prompt is made of before anything is counted: texts and constants.

Which texts and which constants is each endpoint's affair (`chat.py`, …). This is what they hand
over, so that counting, with its memo and its threads, knows nothing of OpenAI's formats.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.values import CountKind


class Part(NamedTuple):
    """Costs the tokens of each of `texts`, counted apart, and `fixed` more."""

    label: str
    """Where it stands in the request: `messages[3]`, `tools`, `reply`."""
    texts: tuple[str, ...] = ()
    fixed: int = 0
    kind: CountKind = "exact"


_RANK: dict[CountKind, int] = {"exact": 0, "fitted": 1, "bound": 2}


def weakest(kinds: Iterable[CountKind]) -> CountKind:
    """What a sum can claim: no more than its least certain part."""
    return max(kinds, key=_RANK.__getitem__, default="exact")
