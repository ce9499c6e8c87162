"""The two forms of a legacy completion, and the way between them.

    assemble(chunks)    → object    what a client would have after reading the whole stream
    disassemble(object) → chunks    words, each with its log probabilities, then a finish reason

and `assemble(disassemble(answer, include_usage=True)) == answer`, but for the order of keys. Both forms
are a `text_completion`; a chunk's `text` is the next piece of its choice. Log probabilities are lists,
one entry a token, that continue from chunk to chunk.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.wire import json_bytes, sse
from gateway.wire.choices import choices_of, index_of
from gateway.wire.errors import reported_error
from gateway.wire.pieces import phrases, shares

_SAME_IN_EVERY_CHUNK = ("id", "object", "created", "model", "system_fingerprint")


# ------------------------------------------------------------------ chunks → object


def assemble(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The whole answer that `events` (parsed chunks, in order) add up to.

    None when it is not a whole answer: an error among the events, no choice at all, or a choice
    that did not come to a finish reason.
    """
    answer: dict[str, Any] = {"object": "text_completion"}
    choices: dict[int, dict[str, Any]] = {}
    texts: dict[int, list[str]] = {}
    for event in events:
        if reported_error(event) is not None:
            return None
        _replace_all(answer, event, but=("choices",))
        for part in choices_of(event):
            index = index_of(part)
            texts.setdefault(index, []).append(_text(part))
            _add(choices.setdefault(index, {}), part)
    if not choices or not all(choice.get("finish_reason") for choice in choices.values()):
        return None
    if answer.get("usage", ...) is None:
        del answer["usage"]
    answer["choices"] = [{**choices[index], "text": "".join(texts[index]), "index": index} for index in sorted(choices)]
    return answer


def _add(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    _replace_all(choice, part, but=("text", "index", "logprobs"))
    logprobs = part.get("logprobs")
    held = choice.setdefault("logprobs", None)
    if isinstance(logprobs, dict):
        if held is None:
            held = choice["logprobs"] = {}
        _continue(held, logprobs)


def _continue(logprobs: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add `more`, none of whose lists is changed or will be."""
    for key, value in more.items():
        held = logprobs.get(key)
        if isinstance(value, list) and isinstance(held, list):
            held.extend(value)
        elif value is not None or key not in logprobs:
            logprobs[key] = list(value) if isinstance(value, list) else value


def _replace_all(into: dict[str, Any], given: Mapping[str, Any], *, but: tuple[str, ...]) -> None:
    """What comes later counts, but null only says that there is nothing new."""
    for key, value in given.items():
        if key not in but and (value is not None or key not in into):
            into[key] = value


# ------------------------------------------------------------------ object → chunks


def encode_stream(answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
    """`answer` as the server-sent events of a stream, one an item, `[DONE]` included."""
    chunks = disassemble(answer, include_usage=include_usage)
    return [*(sse.encode(json_bytes.dumps(chunk)) for chunk in chunks), sse.DONE]


def disassemble(answer: Mapping[str, Any], *, include_usage: bool) -> list[dict[str, Any]]:
    """`answer` as the chunks in which it might have come; with `include_usage` the last carries that and no choice."""
    frame = {key: answer[key] for key in _SAME_IN_EVERY_CHUNK if key in answer}
    usage: dict[str, Any] = {"usage": None} if include_usage else {}
    numbered = ((index_of(choice, number), choice) for number, choice in enumerate(choices_of(answer)))
    parts = (part for index, choice in numbered for part in _parts(index, choice))
    chunks = [{**frame, "choices": [part], **usage} for part in parts]
    chunks[0].update({key: value for key, value in answer.items() if key not in (*frame, "choices", "usage")})
    if include_usage and answer.get("usage") is not None:
        chunks.append({**frame, "choices": [], "usage": answer["usage"]})
    return chunks


def _parts(index: int, choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rest = {key: value for key, value in choice.items() if key not in ("text", "index", "logprobs", "finish_reason")}
    logprobs = choice.get("logprobs")
    for text, logs in _pieces(_text(choice), logprobs if isinstance(logprobs, dict) else None):
        yield {"text": text, "index": index, "logprobs": logs, "finish_reason": None}
    yield {"text": "", "index": index, "logprobs": None, "finish_reason": choice["finish_reason"], **rest}


def _pieces(text: str, logprobs: Mapping[str, Any] | None) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """`text` cut between words; where it has log probabilities that spell it, between tokens, each with its own."""
    if logprobs is None:
        yield from ((piece, None) for piece in phrases(text))
        return
    tokens = logprobs.get("tokens")
    if not isinstance(tokens, list) or not _spell(tokens, text) or not all(_fit(v, tokens) for v in logprobs.values()):
        yield text, logprobs
        return
    for part in shares(len(tokens)):
        yield "".join(tokens[part]), {key: value and value[part] for key, value in logprobs.items()}


def _text(choice: Mapping[str, Any]) -> str:
    text = choice.get("text")
    return text if isinstance(text, str) else ""


def _spell(tokens: Sequence[object], text: str) -> bool:
    return len(tokens) > 0 and all(isinstance(token, str) for token in tokens) and "".join(map(str, tokens)) == text


def _fit(value: object, tokens: Sequence[object]) -> bool:
    return value is None or (isinstance(value, list) and len(value) == len(tokens))
