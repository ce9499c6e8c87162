"""The requests of the demo: which prompts go where, which come again, which are too long. No I/O.

They come in two waves, because an answer can only be repeated once it is there:

    first wave    fresh prompts over all routes and keys
    second wave   more of them, shuffled with repeats of the first wave and with prompts over the cap
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.config.model import Config, Key, Route
from gateway.demo.shipped import Prompt
from gateway.values import Target

FIRST_WAVE = 0.5
REPEATED = 0.25
TOO_LONG = 0.04
"""Shares of all requests."""

_STREAMED_EVERY = 3
_CHARS_PER_TOKEN = 8
"""More than any English text has, so that a prompt made too long by this is too long in tokens."""

_SYSTEM = {"support": "You answer the customers of a small online shop. Be friendly and brief."}
"""By route; a system prompt that stands in many requests, as in real traffic."""


@dataclass(frozen=True, slots=True)
class Way:
    """A route that a key may take, and a model name that leads to it."""

    route: Route
    model: str
    key: str
    """The secret."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of the demo."""

    way: Way
    text: str
    is_stream: bool
    is_too_long: bool = False

    def body(self) -> dict[str, Any]:
        system = _SYSTEM.get(self.way.route.name)
        messages = [{"role": "system", "content": system}] if system else []
        return {"model": self.way.model, "messages": [*messages, {"role": "user", "content": self.text}]}


def ways(config: Config) -> list[Way]:
    """Every route with every key that may take it."""
    return [
        Way(route, _model(config, route, number), key.key.get_secret_value())
        for route in config.routes
        for number, key in enumerate(config.keys)
        if _may_take(key, route)
    ]


def _may_take(key: Key, route: Route) -> bool:
    return (key.routes is None or route.name in key.routes) and (
        route.match.teams is None or key.team in route.match.teams
    )


def _model(config: Config, route: Route, number: int) -> str:
    """What a client would send: the route's first alias, or where it takes any name, real ones in turn."""
    alias = route.match.models[0]
    if alias != "*":
        return alias.replace("*", "chat").replace("?", "x")
    real = [Target.parse(targets[0]).model for targets in config.tiers.values()]
    return real[number % len(real)]


def waves(
    prompts: Sequence[Prompt], ways: Sequence[Way], count: int, rng: random.Random
) -> tuple[list[Ask], list[Ask]]:
    """`count` requests in all, at least one of each kind from 8 on."""
    capped = [way for way in ways if way.route.tokens.max_prompt is not None]
    too_long = max(1, round(count * TOO_LONG)) if capped and count >= 4 else 0
    repeated = round(count * REPEATED)
    fresh = [_fresh(number, prompts, ways) for number in range(count - too_long - repeated)]
    first = fresh[: max(1, round(count * FIRST_WAVE))]
    second = fresh[len(first) :]
    # The other form of the same answer: what was streamed comes whole, and the other way round.
    second += [replace(ask, is_stream=not ask.is_stream) for ask in _some(first, repeated, rng)]
    second += [_too_long(number, prompts, rng.choice(capped), rng) for number in range(too_long)]
    rng.shuffle(second)
    return first, second


def _fresh(number: int, prompts: Sequence[Prompt], ways: Sequence[Way]) -> Ask:
    """A new pair of prompt and way for each number, up to as many as there are pairs."""
    lap, place = divmod(number, len(prompts))
    return Ask(ways[(place + lap) % len(ways)], prompts[place].text, number % _STREAMED_EVERY == 0)


def _some(asks: Sequence[Ask], count: int, rng: random.Random) -> list[Ask]:
    """`count` of them, each as often as the next: questions come back more than once."""
    return [asks[number % len(asks)] for number in rng.sample(range(max(count, len(asks))), count)]


def _too_long(number: int, prompts: Sequence[Prompt], way: Way, rng: random.Random) -> Ask:
    """Several prompts pasted together until the route's cap is certainly passed."""
    assert way.route.tokens.max_prompt is not None
    wanted = way.route.tokens.max_prompt * _CHARS_PER_TOKEN
    text = f"Summary {number} of all of this, please:"
    while len(text) < wanted:
        text += "\n\n" + rng.choice(prompts).text
    return Ask(way, text, is_stream=False, is_too_long=True)
