"""What an image costs, by model, size and detail.

Two systems (OpenAI, "Images and vision: calculating costs", as of 2026):

* *Tiles*: fit into 2048 x 2048, then shrink the shorter side to 768; a base plus a price for each tile
  of 512 x 512. `detail: low` is the base alone.
* *Patches*: squares of 32 x 32, shrunk to fit a budget of them, times a factor of the model.

The documented factors of the GPT-5 small models (1.62, 2.46) are not what is charged: 1.2 and 1.5 are
what OpenAI's own calculator uses, what others measured (community.openai.com/t/1344040, t/1377015)
and what our rows show, all nine recorded images of known size.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from gateway.tokens.profile import bare_name
from gateway.values import CountKind

PATCH = 32
TILE = 512


@dataclass(frozen=True, slots=True)
class Tiles:
    base: int
    tile: int


@dataclass(frozen=True, slots=True)
class Patches:
    factor: float
    budget: int = 1536


_SYSTEMS: tuple[tuple[re.Pattern[str], Tiles | Patches], ...] = tuple(
    (re.compile(pattern), system)
    for pattern, system in (
        (r"gpt-4o-mini", Tiles(2833, 5667)),
        (r"gpt-4\.1-mini", Patches(1.62)),
        (r"gpt-4\.1-nano", Patches(2.46)),
        (r"gpt-4|chatgpt-4o", Tiles(85, 170)),
        (r"gpt-5-mini", Patches(1.2)),
        (r"gpt-5-nano", Patches(1.5)),
        (r"gpt-5(\.1)?(-|$)", Tiles(70, 140)),
        (r"gpt-5\.\d+-(mini|nano)", Patches(1.2)),
        (r"gpt-5\.[23](-|$)", Patches(1.2)),
        (r"gpt-", Patches(1.2, budget=2500)),
        (r"o4-mini|codex-mini", Patches(1.72)),
        (r"o\d", Tiles(75, 150)),
        (r"computer-use", Tiles(65, 129)),
    )
)
_DEFAULT = Tiles(85, 170)

_ORIGINAL_BUDGET = 10_000
"""Patches under `detail: original`."""


CHAT_EXTRA = 1
"""An image counted in patches costs one token more in a chat completion than in a response (4 rows, 4 exact)."""


def system_of(model: str) -> Tiles | Patches:
    """What `model` charges images by."""
    name = bare_name(model)
    return next((system for pattern, system in _SYSTEMS if pattern.match(name)), _DEFAULT)


def image_tokens(model: str, size: tuple[int, int] | None, detail: Any, *, is_chat: bool) -> tuple[int, CountKind]:
    """Tokens of one image; the most that any size could cost where `size` is not known."""
    system = system_of(model)
    if isinstance(system, Tiles):
        if detail == "low":
            return system.base, "exact"
        if size is None:
            return system.base + 8 * system.tile, "bound"  # 2048 x 768
        return system.base + system.tile * _tiles(*size), "exact"
    budget = _ORIGINAL_BUDGET if detail == "original" else system.budget
    patches = budget if size is None else _patches(*size, budget)
    tokens = math.ceil(round(patches * system.factor, 6)) + (CHAT_EXTRA if is_chat else 0)
    return tokens, "bound" if size is None else "fitted"


def _tiles(width: int, height: int) -> int:
    scale = min(1.0, 2048 / max(width, height, 1))
    scale = min(scale, 768 / max(min(width, height), 1))
    return max(1, math.ceil(int(width * scale) / TILE)) * max(1, math.ceil(int(height * scale) / TILE))


def _patches(width: int, height: int, budget: int) -> int:
    """Patches after shrinking to `budget`, the side lengths then cut so that one of them is whole patches."""
    across, down = math.ceil(width / PATCH), math.ceil(height / PATCH)
    if across * down <= budget:
        return max(1, across * down)
    scale = math.sqrt(PATCH * PATCH * budget / (width * height))
    fits = [(int(side * scale / PATCH) or 1) / (side * scale / PATCH) for side in (width, height)]
    scale *= min(1.0, *fits)
    return min(budget, math.ceil(round(width * scale / PATCH, 6)) * math.ceil(round(height * scale / PATCH, 6)))
