"""The two forms of a chat answer, and the way between them.

A chat completion is one object, or a stream of chunks whose deltas add up to it. The response
cache stores the object; whichever form filled an entry, it must answer both. So:

    assemble(chunks)    → object    what a client would have after reading the whole stream
    disassemble(object) → chunks    like those of a live stream: a role, words, tool arguments, an end

and `assemble(disassemble(answer, include_usage=True)) == answer`. Fields that OpenAI does not know
(reasoning text, content filters, a server's own) take part in both directions: strings in a delta
are pieces and add up, lists are continued, anything else is replaced by what comes later.

Shapes: "The chat completion object" and "The chat completion chunk object" in OpenAI's API reference.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.wire import json_bytes, sse
from gateway.wire.choices import choices_of, index_of
from gateway.wire.pieces import MAX_PIECES, phrases, with_logs

_WHOLE = frozenset({"id", "type", "role", "name", "format", "signature"})
"""Strings of a delta that come in one piece; some servers repeat them in every chunk."""
_REASONING = ("reasoning_content", "reasoning")
"""Fields other servers than OpenAI's stream before the content."""
_ARGUMENTS = {"function": "arguments", "custom": "input"}
"""Kind of a tool call → where its generated text stands."""
_NOT_ENVELOPE = frozenset({"object", "choices", "obfuscation"})
_LOGGED = ("content", "refusal")
"""Texts that may have log probabilities."""
_SAME_IN_EVERY_CHUNK = ("id", "created", "model", "service_tier", "system_fingerprint")


# ------------------------------------------------------------------ chunks → object


def assemble(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The whole answer that `events` (parsed chunks, in order) add up to.

    None when it is not a whole answer: an error among the events, no choice at all, or a choice
    that did not come to a finish reason. Usage is taken from whichever chunk carries it last.
    """
    answer: dict[str, Any] = {"object": "chat.completion"}
    choices: dict[int, dict[str, Any]] = {}
    seen: dict[str, Any] = {}
    for event in events:
        if event.get("error") is not None:
            return None
        envelope = {key: value for key, value in event.items() if key not in _NOT_ENVELOPE}
        if envelope != seen:  # mostly it is what the chunk before had, too
            _take_envelope(answer, envelope)
            seen = envelope
        for part in choices_of(event):
            _take_choice(choices.setdefault(index_of(part), {"message": {}}), part)
    if not choices or not all(choice.get("finish_reason") for choice in choices.values()):
        return None
    if answer.get("usage", ...) is None:
        del answer["usage"]
    answer["choices"] = [{"index": index, **_finished_choice(choices[index])} for index in sorted(choices)]
    return answer


def _take_envelope(answer: dict[str, Any], envelope: Mapping[str, Any]) -> None:
    for key, value in envelope.items():
        if key in ("id", "created", "model"):
            answer[key] = answer.get(key) or value  # Azure's first chunk has them empty
        else:
            _replace(answer, key, value)


def _take_choice(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    if _takes_text_alone(choice, part):
        return
    for key, value in part.items():
        if key == "delta" and isinstance(value, dict):
            _add(choice["message"], value)
        elif key == "logprobs":
            _add(choice, {key: value})
        elif key not in ("index", "delta", "message"):
            _replace(choice, key, value)


def _takes_text_alone(choice: dict[str, Any], part: Mapping[str, Any]) -> bool:
    """Whether `part` only continued the content, as nearly all do; it is then taken."""
    delta = part.get("delta")
    text = delta.get("content") if isinstance(delta, dict) and len(delta) == 1 else None
    held = choice["message"].get("content")
    if not isinstance(text, str) or not isinstance(held, _Text):
        return False
    for key, value in part.items():
        if key not in ("index", "delta") and (value is not None or key not in choice):
            return False
    held.append(text)
    return True


def _replace(into: dict[str, Any], key: str, value: object) -> None:
    """What comes later counts, but null only says that there is nothing new."""
    if value is not None or key not in into:
        into[key] = value


class _Text(list[str]):
    """A string still growing; joined once, so that a long stream costs linear time."""


class _Calls(list[dict[str, Any]]):
    """Tool calls still growing; each keeps its `index` until all is there."""


def _add(into: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Add `delta` to what has come so far. Nothing of `delta` is changed or will be."""
    for key, value in delta.items():
        held = into.get(key)
        if key == "tool_calls" and isinstance(value, list):
            into[key] = _continued(held if isinstance(held, _Calls) else _Calls(), value)
        elif value is None:
            into.setdefault(key, None)
        elif held is None or held == "":
            into[key] = _begun(key, value)
        elif isinstance(held, _Text) and isinstance(value, str):
            held.append(value)
        elif isinstance(held, dict) and isinstance(value, dict):
            _add(held, value)
        elif isinstance(held, list) and isinstance(value, list) and not isinstance(held, _Text):
            held.extend(value)
        elif key not in _WHOLE:
            into[key] = value


def _begun(key: str, value: object) -> object:
    if isinstance(value, str):
        return value if key in _WHOLE else _Text([value])
    if isinstance(value, dict):
        copy: dict[str, Any] = {}
        _add(copy, value)
        return copy
    return list(value) if isinstance(value, list) else value


def _continued(calls: _Calls, parts: Sequence[object]) -> _Calls:
    """`calls` with each part added to the call of its index.

    A new id and name under an index already taken begin a new call (Gemini numbers all of them 0);
    a part without an index continues the last call.
    """
    for part in parts:
        if not isinstance(part, dict):
            continue
        index = part.get("index") if isinstance(part.get("index"), int) else None
        call = next((call for call in reversed(calls) if index is None or call["index"] == index), None)
        if call is None or _is_another(call, part):
            call = {"index": len(calls) if index is None else index}
            calls.append(call)
        _add(call, {key: value for key, value in part.items() if key != "index"})
    return calls


def _is_another(call: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    names = (kind.get("name") for key in _ARGUMENTS if isinstance(kind := part.get(key), dict))
    return bool(part.get("id")) and part["id"] != call.get("id") and any(names)


def _finished_choice(choice: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, **choice["message"]}
    audio = message.get("audio")
    if isinstance(audio, dict) and isinstance(data := audio.get("data"), _Text):
        audio["data"] = _joined_base64(data)
    return {key: _finished(value) for key, value in choice.items()} | {"message": _finished(message)}


def _finished(value: Any) -> Any:
    """`value` with every growing part in its final form."""
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, _Calls):
        calls = sorted(value, key=lambda call: call["index"])
        return [{key: _finished(item) for key, item in call.items() if key != "index"} for call in calls]
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    return value


def _joined_base64(pieces: Sequence[str]) -> str:
    """Audio comes in pieces that are each padded for themselves, or as one encoding cut anywhere."""
    if any(piece.endswith("=") for piece in pieces[:-1]):
        try:
            return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()
        except binascii.Error:
            pass
    return "".join(pieces)


# ------------------------------------------------------------------ object → chunks


def encode_stream(answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
    """`answer` as the server-sent events of a stream, one an item, `[DONE]` included."""
    chunks = disassemble(answer, include_usage=include_usage)
    return [*(sse.encode(json_bytes.dumps(chunk)) for chunk in chunks), sse.DONE]


def disassemble(answer: Mapping[str, Any], *, include_usage: bool) -> list[dict[str, Any]]:
    """`answer` as the chunks in which it might have come.

    With `include_usage` as OpenAI sends it: null on every chunk, then one chunk without choices
    that carries it. The chunks share parts with `answer` and are meant to be read only.
    """
    frame = {"object": "chat.completion.chunk"} | {key: answer[key] for key in _SAME_IN_EVERY_CHUNK if key in answer}
    usage: dict[str, Any] = {"usage": None} if include_usage else {}
    numbered = ((index_of(choice, number), choice) for number, choice in enumerate(choices_of(answer)))
    parts = (part for index, choice in numbered for part in _choice_in_parts(index, choice))
    chunks = [{**frame, "choices": [part], **usage} for part in parts]
    chunks[0].update({key: value for key, value in answer.items() if key not in (*frame, "choices", "usage")})
    if include_usage and answer.get("usage") is not None:
        chunks.append({**frame, "choices": [], "usage": answer["usage"]})
    return chunks


def _choice_in_parts(index: int, choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rest = {key: value for key, value in choice.items() if key not in ("index", "message", "logprobs", "finish_reason")}
    message, logprobs = (part if isinstance(part := choice.get(key), dict) else None for key in ("message", "logprobs"))
    for delta, logged in _deltas(message or {}, logprobs):
        logs = {"logprobs": logged} if "logprobs" in choice else {}
        yield {"index": index, "delta": delta, **logs, "finish_reason": None}
    logs = {"logprobs": None} if "logprobs" in choice else {}
    yield {"index": index, "delta": {}, **logs, "finish_reason": choice["finish_reason"], **rest}


_Delta = tuple[dict[str, Any], Mapping[str, Any] | None]
"""A delta and the log probabilities that come with it."""


def _deltas(message: Mapping[str, Any], logprobs: Mapping[str, Any] | None) -> Iterator[_Delta]:
    """Who speaks, and whatever has no pieces; then reasoning, texts, sound and calls, piece by piece."""
    texts = {key: text for key in (*_REASONING, *_LOGGED) if isinstance(text := message.get(key), str) and text}
    nested = {key: part for key in ("audio", "function_call") if isinstance(part := message.get(key), dict)}
    calls = _dicts(message.get("tool_calls"))
    in_pieces = {*texts, *nested, *(["tool_calls"] if calls else [])}
    opening = {key: value for key, value in message.items() if key not in in_pieces}
    opening |= {key: blank for key, blank in (("content", ""), ("refusal", None)) if key in texts}
    logged = {key: found for key in texts if (found := _dicts((logprobs or {}).get(key)))}
    yield opening, logprobs and {**logprobs, **{key: [] for key in logged}}

    for key, text in texts.items():
        for piece, entries in with_logs(text, logged.get(key, ())):
            yield {key: piece}, dict.fromkeys(logprobs or ()) | {key: entries} if key in logged else None
    for key, part in nested.items():
        for delta in _growing(part, "arguments", "transcript", "data"):
            yield {key: delta}, None
    for index, call in enumerate(calls):
        for delta in _call_deltas(call):
            yield {"tool_calls": [{"index": index, **delta}]}, None


def _call_deltas(call: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """As OpenAI sends a call: id, type and name with empty arguments first, then the arguments."""
    kind = next((kind for kind in _ARGUMENTS if isinstance(call.get(kind), dict)), None)
    if kind is None:
        yield dict(call)
        return
    first, *others = _growing(call[kind], _ARGUMENTS[kind])
    yield {**call, kind: first}
    for delta in others:
        yield {kind: delta}


def _growing(part: Mapping[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    """`part` with the strings under `names` empty, then these strings in pieces."""
    texts = {name: text for name in names if isinstance(text := part.get(name), str)}
    yield {**part, **dict.fromkeys(texts, "")}
    for name, text in texts.items():
        for piece in _cut_base64(text) if name == "data" else phrases(text):
            yield {name: piece}


def _dicts(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _cut_base64(text: str) -> list[str]:
    """In pieces that can be decoded one by one: four characters are three bytes."""
    size = 4 * (len(text) // 4 // MAX_PIECES + 1)
    return [text[start : start + size] for start in range(0, len(text), size)]
