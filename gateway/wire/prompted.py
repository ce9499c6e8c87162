"""Requests that name a prompt of the registry: what they ask for, and the request that comes of it.

    {"prompt": {"id", "version"?, "variables"?}, …}  →  the same without the field, with the prompt's messages in front
                                                        of the client's own, and its defaults where the client set none

The client's other bytes stay as they were written. Messages come as `(role, pieces)`; a piece is a text, or an
`Attached` image or file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.errors import BadRequest
from gateway.value import value
from gateway.wire import json_bytes
from gateway.wire.body import wrong_type
from gateway.wire.repeats import refuse_repeats
from gateway.wire.splice import members

ENDPOINTS = frozenset({"chat", "responses"})
"""Those whose field `prompt` is an object; that of the old completions is a text."""

_KEYS = frozenset({"id", "prompt_id", "version", "variables"})
"""`prompt_id` is what `id` is called in some of OpenAI's own examples."""
_INSTRUCTIONS = frozenset({"system", "developer"})
_OWN = frozenset({"prompt", "messages", "input", "model", "stream", "stream_options", "previous_response_id"})
"""Fields that a version's parameters do not set: they are the request's, or have a place of their own."""
_CHAT_LIMITS = ("max_completion_tokens", "max_tokens")


@value
class Asked:
    id: str
    """Of a prompt, or its name."""
    version: str | None
    """A number or a label."""
    variables: Any
    """As the client wrote them."""


@value
class Attached:
    variable: str
    part: Mapping[str, Any]
    """An `input_image` or `input_file` object of the Responses API."""


Message = tuple[str, Sequence[str | Attached]]


# ------------------------------------------------------------------ what is asked for


def asked(body: bytes, fields: Mapping[str, Any]) -> Asked | None:
    """The prompt that the request names; None where it names none. BadRequest says what is wrong with it."""
    given = fields.get("prompt")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong_type("prompt", "an object with the id of a prompt", given)
    refuse_repeats(body, fields, ("prompt",))
    unknown = next((key for key in given if key not in _KEYS), None)
    if unknown is not None:
        raise BadRequest("'prompt' has an unknown key; it takes id, version and variables.", param="prompt")
    name = given.get("id", given.get("prompt_id"))
    if not isinstance(name, str) or not name:
        raise BadRequest("'prompt.id' must be the id or the name of a prompt.", param="prompt.id")
    version = given.get("version")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if not isinstance(version, str | None):
        raise wrong_type("prompt.version", "a string", version)
    return Asked(name, version, given.get("variables"))


# ------------------------------------------------------------------ what a version sets


def defaults(
    endpoint: str,
    parameters: Mapping[str, Any],
    *,
    model: str | None,
    tools: Sequence[Mapping[str, Any]] | None,
    response_format: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What a version sets where the request does not, in the words of `endpoint`; a version serves either."""
    fields = {name: given for name, given in parameters.items() if name not in _OWN}
    if model is not None:
        fields["model"] = model
    if endpoint == "chat":
        _to_chat(fields)
        if response_format is not None:
            fields["response_format"] = response_format
    else:
        _to_responses(fields)
        if response_format is not None:
            fields["text"] = {**_object(fields.get("text")), "format": _flat(response_format, "json_schema")}
    if tools is not None:
        fields["tools"] = [_nested_tool(tool) if endpoint == "chat" else _flat(tool, "function") for tool in tools]
    return fields


def _to_chat(fields: dict[str, Any]) -> None:
    limit = fields.pop("max_output_tokens", None)
    if limit is not None:
        fields.setdefault("max_completion_tokens", limit)
    reasoning, text = _object(fields.pop("reasoning", None)), _object(fields.pop("text", None))
    for name, found in (("reasoning_effort", reasoning.get("effort")), ("verbosity", text.get("verbosity"))):
        if found is not None:
            fields.setdefault(name, found)
    shape = text.get("format")
    if isinstance(shape, Mapping):
        is_schema = shape.get("type") == "json_schema"
        nested = {key: shape[key] for key in shape if key != "type"}
        fields["response_format"] = {"type": "json_schema", "json_schema": nested} if is_schema else shape
    fields.pop("instructions", None)


def _to_responses(fields: dict[str, Any]) -> None:
    limits = [found for name in _CHAT_LIMITS if (found := fields.pop(name, None)) is not None]
    if limits:
        fields.setdefault("max_output_tokens", limits[0])
    effort, verbosity = fields.pop("reasoning_effort", None), fields.pop("verbosity", None)
    if effort is not None:
        fields["reasoning"] = {"effort": effort, **_object(fields.get("reasoning"))}
    if verbosity is not None:
        fields["text"] = {"verbosity": verbosity, **_object(fields.get("text"))}


def _flat(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The Responses API's form of what chat completions nest under `key`."""
    nested = given.get(key)
    return {"type": given.get("type", key), **nested} if isinstance(nested, Mapping) else given


def _nested_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {key: tool[key] for key in tool if key != "type"}}


def _object(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


# ------------------------------------------------------------------ the request that comes of it


def filled(
    endpoint: str, body: bytes, fields: Mapping[str, Any], messages: Sequence[Message], preset: Mapping[str, Any]
) -> bytes:
    """`body`, parsed into `fields`, with `messages` in front of its own, and what is `preset` where it sets none."""
    is_ours = json_bytes.dumps(fields) == body  # as most clients write it: then we write what they wrote
    found = [] if is_ours else members(body)
    raw = {member.key: body[member.start : member.end] for member in found}
    new = _missing(endpoint, fields, preset)
    if endpoint == "chat":
        new["messages"] = _in_front(raw, fields, "messages", chat_messages(messages))
    else:
        is_told = any(one.get("instructions") is not None for one in (fields, preset))
        new |= _input(raw, fields, messages, is_told=is_told)
    if is_ours:
        kept = {name: given for name, given in fields.items() if name != "prompt"}
        return json_bytes.dumps({**kept, **new})
    pieces = []
    for member in found:
        if member.key != "prompt":
            written = json_bytes.dumps(new.pop(member.key)) if member.key in new else body[member.start : member.end]
            pieces.append(b"%b:%b" % (json_bytes.dumps(member.key), written))
    pieces += [b"%b:%b" % (json_bytes.dumps(name), json_bytes.dumps(one)) for name, one in new.items()]
    return b"{%b}" % b",".join(pieces)


def _missing(endpoint: str, fields: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """What of `preset` the client has not set itself. Of `text` and `reasoning` each may set a part."""
    has_limit = endpoint == "chat" and any(fields.get(name) is not None for name in _CHAT_LIMITS)
    found = {}
    for name, default in preset.items():
        given = fields.get(name)
        if given is None and not (has_limit and name in _CHAT_LIMITS):
            found[name] = default
        elif name in ("text", "reasoning") and isinstance(given, dict) and isinstance(default, Mapping):
            found[name] = {**default, **given}
    return found


def chat_messages(messages: Sequence[Message], *, is_counted: bool = False) -> list[dict[str, Any]]:
    """`messages` as chat completions take them; BadRequest for what these cannot, unless it `is_counted` only."""
    part = _counted_part if is_counted else _chat_part
    return [{"role": role, "content": _content(pieces, part)} for role, pieces in messages]


def _input(
    raw: Mapping[str, bytes], fields: Mapping[str, Any], messages: Sequence[Message], *, is_told: bool
) -> dict[str, Any]:
    """The fields `input` and, unless something `is_told` there already, `instructions`.

    What a prompt tells the model at its beginning goes where the API keeps what holds for one response only: as items
    of the input, a chain of responses would have it once for each of them. That needs something left for the input.
    """
    new: dict[str, Any] = {}
    told = _told(messages)
    if told and not is_told and (fields.get("input") or len(told) < len(messages)):
        new["instructions"] = "\n\n".join(told)
        messages = messages[len(told) :]
    items = [{"role": role, "content": _content(pieces, _response_part)} for role, pieces in messages]
    new["input"] = _in_front(raw, fields, "input", items)
    return new


def _told(messages: Sequence[Message]) -> list[str]:
    """The texts with which `messages` begin and that instruct the model."""
    texts: list[str] = []
    for role, pieces in messages:
        if role not in _INSTRUCTIONS or len(pieces) != 1 or not isinstance(pieces[0], str):
            break
        texts.append(pieces[0])
    return texts


def _in_front(
    raw: Mapping[str, bytes], fields: Mapping[str, Any], name: str, items: Sequence[Mapping[str, Any]]
) -> Any:
    """`items` and, behind them, what the client has in its field `name`: as it is written, where `raw` says how."""
    own = fields.get(name)
    if name == "input" and isinstance(own, str):
        if not items:
            return orjson.Fragment(raw[name]) if raw else own
        said = {"role": "user", "content": orjson.Fragment(raw[name]) if raw else own}
        return [*items, said] if not raw else orjson.Fragment(_joined(items, json_bytes.dumps(said)))
    if not isinstance(own, list | None):
        raise wrong_type(name, "an array" if name == "messages" else "a string or an array", own)
    if not own:
        return items
    if not raw:
        return [*items, *own]
    return orjson.Fragment(_joined(items, raw[name][1:-1]) if items else raw[name])


def _joined(items: Sequence[Mapping[str, Any]], rest: bytes) -> bytes:
    """The array of `items` and what is written as `rest`."""
    return b"%b,%b]" % (json_bytes.dumps(items)[:-1], rest)


def _content(pieces: Sequence[str | Attached], part: Any) -> str | list[Mapping[str, Any]]:
    if len(pieces) == 1 and isinstance(pieces[0], str):
        return pieces[0]
    return [part(piece) for piece in pieces]


def _response_part(piece: str | Attached) -> Mapping[str, Any]:
    return {"type": "input_text", "text": piece} if isinstance(piece, str) else piece.part


def _chat_part(piece: str | Attached) -> Mapping[str, Any]:
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    part = piece.part
    if part.get("type") == "input_image":
        if not isinstance(part.get("image_url"), str):
            raise _not_in_chat(piece, "an image by its address: chat completions take no 'file_id' of one")
        detail = {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    file = {key: part[key] for key in ("file_id", "file_data", "filename") if part.get(key) is not None}
    if not file.keys() & {"file_id", "file_data"}:
        raise _not_in_chat(piece, "a file by its 'file_id' or 'file_data': chat completions take no 'file_url'")
    return {"type": "file", "file": file}


def _counted_part(piece: str | Attached) -> Mapping[str, Any]:
    """The same for any endpoint; a file is counted by nobody, and no more is an image that stands elsewhere."""
    try:
        return _chat_part(piece)
    except BadRequest:
        return {"type": "text", "text": ""}


def _not_in_chat(piece: Attached, wanted: str) -> BadRequest:
    name = f"prompt.variables.{piece.variable}"
    return BadRequest(f"'{name}': it must be {wanted}.", param=name)
