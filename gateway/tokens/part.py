"""What a prompt is made of before anything is counted: texts and constants.

Which texts and which constants is each endpoint's affair (`chat.py`, `responses.py`, …). This is what
they hand over, so that counting, with its memo and its threads, knows nothing of OpenAI's formats.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gateway.values import CountKind


class Rendering(NamedTuple):
    """Texts that are worth making only once: `render(source)` is a pure function of JSON."""

    source: Any
    render: Callable[[Any], "tuple[tuple[str, ...], CountKind]"]


class Part(NamedTuple):
    """Costs the tokens of each of `texts`, counted apart, and `fixed` more."""

    label: str
    """Where it stands in the request: `messages[3]`, `tools`, `reply`."""
    texts: tuple[str, ...] = ()
    fixed: int = 0
    kind: CountKind = "exact"
    rendering: Rendering | None = None


_RANK: dict[CountKind, int] = {"exact": 0, "fitted": 1, "bound": 2}


def weakest(kinds: Iterable[CountKind]) -> CountKind:
    """What a sum can claim: no more than its least certain part."""
    return max(kinds, key=_RANK.__getitem__, default="exact")
