"""`POST /v1/completions`, the legacy endpoint: https://platform.openai.com/docs/api-reference/completions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from gateway.simulator import checks, logprobs
from gateway.simulator.answers import Choice, Wish, answer, seed_of
from gateway.simulator.faults import Faults
from gateway.simulator.reply import DONE, Event, Json, Reply, Stamp, sse, usage, with_usage
from gateway.simulator.tokens import Tokens

Fields = Mapping[str, Any]
_DEFAULT_MAX_TOKENS = 16


async def respond(fields: Fields, faults: Faults, tokens: Tokens) -> Reply:
    checks.completions(fields)
    model: str = fields["model"]
    prompts = inputs(fields.get("prompt") or "<|endoftext|>")
    choices = [choice for prompt in prompts for choice in await _choices(prompt, fields, faults, tokens)]
    counted = usage(await count(prompts, model, tokens), choices, faults)
    stamp = Stamp.new("cmpl-", model)
    generated = max(choice.tokens for choice in choices)
    if not fields.get("stream"):
        whole = [_part(number, choice, fields, choice.finish) for number, choice in enumerate(choices)]
        body = stamp.chunk("text_completion", whole)
        return Reply(generated, body=body if counted is None else {**body, "usage": counted})
    chunks = [(stamp.chunk("text_completion", [part]), cost) for part, cost in _parts(choices, fields)]
    if (fields.get("stream_options") or {}).get("include_usage"):
        chunks = with_usage(chunks, stamp.chunk("text_completion", []), counted)
    return Reply(generated, events=[*(Event(sse(chunk), cost) for chunk, cost in chunks), DONE])


def inputs(value: Any) -> list[str | list[int]]:
    """`prompt`, or the embeddings' `input`, as a list: each text or tokens."""
    is_one = isinstance(value, str) or isinstance(value[0], int)
    return [value] if is_one else list(value)


async def count(items: Sequence[str | list[int]], model: str, tokens: Tokens) -> int:
    """Tokens of `items`: these two endpoints add nothing to the text's own."""
    return sum([await tokens.text(item, model) if isinstance(item, str) else len(item) for item in items])


async def _choices(prompt: str | list[int], fields: Fields, faults: Faults, tokens: Tokens) -> list[Choice]:
    stop = fields.get("stop") or ()
    limit = fields.get("max_tokens")
    wish = Wish(
        model=fields["model"],
        prompt=prompt if isinstance(prompt, str) else "",
        seed=seed_of("completions", fields["model"], prompt, fields.get("seed")),
        limit=_DEFAULT_MAX_TOKENS if limit is None else limit,
        choices=fields.get("n") or 1,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        faults=faults,
    )
    made = await answer(wish, tokens)
    if not (fields.get("echo") and isinstance(prompt, str)):
        return made
    return [replace(choice, pieces=(prompt, *choice.pieces)) for choice in made]  # echoed, not generated


def _part(number: int, choice: Choice, fields: Fields, finish: str | None) -> Json:
    top = fields.get("logprobs")
    shown = None if top is None else logprobs.legacy(choice.pieces, top, 0)
    return {"text": choice.text, "index": number, "logprobs": shown, "finish_reason": finish}


def _parts(choices: Sequence[Choice], fields: Fields) -> Iterator[tuple[Json, int]]:
    for turn in zip_longest(*(_parts_of(number, choice, fields) for number, choice in enumerate(choices))):
        yield from (part for part in turn if part is not None)


def _parts_of(number: int, choice: Choice, fields: Fields) -> Iterator[tuple[Json, int]]:
    top = fields.get("logprobs")
    offset = 0
    for piece in choice.pieces:
        shown = None if top is None else logprobs.legacy((piece,), top, offset)
        yield {"text": piece, "index": number, "logprobs": shown, "finish_reason": None}, 1
        offset += len(piece)
    yield {"text": "", "index": number, "logprobs": None, "finish_reason": choice.finish}, 0
