"""What the simulated model says: choices of text or tool calls, whole in tokens, the same for the same prompt."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from gateway.simulator import prose, tools
from gateway.simulator.errors import ApiError
from gateway.simulator.faults import Faults
from gateway.simulator.json_values import JsonValues, NoInstance
from gateway.simulator.tokens import Tokens
from gateway.simulator.tools import Offer, Tool

Finish = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; `pieces` are the tokens of its arguments, or of a custom tool's input."""

    id: str
    tool: Tool
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the `n` answers; either `pieces` (tokens of the text) or `calls`."""

    finish: Finish
    tokens: int
    """All that was generated, reasoning and the names of tools included."""
    pieces: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    reasoning: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks the model for, whichever endpoint it came to."""

    model: str
    prompt: str
    """The text an answer is to be about: what the user said last."""
    seed: int
    limit: int | None = None
    """Completion tokens of each choice."""
    choices: int = 1
    offer: Offer = field(default_factory=Offer)
    schema: object | None = None
    """Of the JSON that is wanted; None for plain text."""
    stop: tuple[str, ...] = ()
    faults: Faults = field(default_factory=Faults)


_ANY_OBJECT = {
    "type": "object",
    "properties": {
        "simulated": {"const": True},
        "answer": {"type": "string"},
        "keywords": {"type": "array", "items": {"type": "string", "maxLength": 40}, "minItems": 1},
    },
}
"""Stands for the schema in JSON mode without one."""


def seed_of(*parts: object) -> int:
    """A number that depends on every one of `parts`, JSON values, and on nothing else."""
    return int.from_bytes(sha256(json.dumps(parts, sort_keys=True).encode()).digest()[:8])


def random_for(*parts: object) -> random.Random:
    return random.Random(seed_of(*parts))  # noqa: S311  # reproducible is the point


def schema_of(form: Mapping[str, Any] | None) -> object | None:
    """The schema that a checked `response_format` (or the Responses API's `text.format`) asks for."""
    match (form or {}).get("type"):
        case "json_object":
            return _ANY_OBJECT
        case "json_schema":
            assert form is not None
            return (form.get("json_schema") or form).get("schema") or _ANY_OBJECT
    return None


async def answer(wish: Wish, tokens: Tokens) -> list[Choice]:
    """The choices that `wish` asks for."""
    return [await _choice(wish, random_for(wish.seed, number), tokens) for number in range(wish.choices)]


async def _choice(wish: Wish, rng: random.Random, tokens: Tokens) -> Choice:
    reasoning = wish.faults.reasoning
    room = None if wish.limit is None else wish.limit - reasoning
    if room is not None and room <= 0:
        assert wish.limit is not None
        return Choice("length", wish.limit, reasoning=wish.limit)
    called = tools.to_call(wish.offer, wish.prompt, rng)
    made = await _calls(called, wish, rng, room, tokens) if called else await _text(wish, rng, room, tokens)
    return Choice(made.finish, made.tokens + reasoning, made.pieces, made.calls, reasoning)


async def _text(wish: Wish, rng: random.Random, room: int | None, tokens: Tokens) -> Choice:
    text, finish = _before_stop(_draft(wish, rng), wish.stop)
    pieces = await tokens.cut(text, wish.model)
    if wish.faults.tokens is not None:
        pieces = await _exactly(wish.faults.tokens, pieces, wish, rng, tokens)
    if room is not None and len(pieces) > room:
        pieces, finish = pieces[:room], "length"
    return Choice(finish, len(pieces), tuple(pieces))


def _draft(wish: Wish, rng: random.Random) -> str:
    if wish.schema is None:
        return prose.answer(wish.prompt, rng)
    values = JsonValues(wish.schema, wish.prompt, rng, is_labelled=True)
    return _json(values, "response_format", param="response_format")


def _json(values: JsonValues, owner: str, *, param: str) -> str:
    try:
        return json.dumps(values.make(), ensure_ascii=False)
    except NoInstance as error:
        raise ApiError(f"Invalid schema for {owner}: {error}.", param=param, code="invalid_schema") from None


def _before_stop(text: str, stop: tuple[str, ...]) -> tuple[str, Finish]:
    """`text` up to the first of the sequences in `stop`, which is itself not part of an answer."""
    ends = [at for word in stop if word and (at := text.find(word)) >= 0]
    return text[: min(ends, default=len(text))], "stop"


async def _exactly(count: int, pieces: list[str], wish: Wish, rng: random.Random, tokens: Tokens) -> list[str]:
    flow = prose.sentences(wish.prompt, rng)
    while len(pieces) < count:
        pieces += await tokens.cut(" " + next(flow), wish.model)
    return pieces[:count]


async def _calls(called: tuple[Tool, ...], wish: Wish, rng: random.Random, room: int | None, tokens: Tokens) -> Choice:
    """Each tool's name and arguments count; where the room ends, the arguments of the last call break off."""
    calls: list[Call] = []
    used = 0
    finish: Finish = "stop" if wish.offer.named else "tool_calls"
    for tool in called:
        name_tokens = len(await tokens.cut(tool.name, wish.model))
        pieces = await tokens.cut(_arguments(tool, wish.prompt, rng), wish.model)
        left = None if room is None else room - used - name_tokens
        if left is not None and left < len(pieces):
            finish = "length"
            pieces = pieces[: max(0, left)]
        calls.append(Call(f"call_{rng.getrandbits(96):024x}", tool, tuple(pieces)))
        used += name_tokens + len(pieces)
        if finish == "length":
            break
    return Choice(finish, used if room is None else min(used, room), calls=tuple(calls))


def _arguments(tool: Tool, prompt: str, rng: random.Random) -> str:
    if tool.kind == "custom":
        return next(prose.sentences(prompt, rng))
    return _json(JsonValues(tool.parameters, prompt, rng), f"function '{tool.name}'", param="tools")
