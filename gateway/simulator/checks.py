"""What OpenAI refuses, endpoint by endpoint: required fields, types, ranges, and fields that exclude each other."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.simulator import rules
from gateway.simulator.errors import ApiError
from gateway.simulator.rules import Rule, boolean, decimal, integer, items, mapping, missing, one_of, text

Fields = Mapping[str, Any]

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAX_INPUTS = 2048
"""`input` of the embeddings endpoint, by its API reference."""


def chat(fields: Fields) -> None:
    _model(fields)
    rules.apply(_CHAT, fields, required=("messages",))
    _together(fields, "max_tokens", "max_completion_tokens")
    _stream_options(fields)
    _tools(fields, nested=True)
    _tool_results(fields["messages"])
    if fields.get("top_logprobs") is not None and not fields.get("logprobs"):
        raise ApiError("'top_logprobs' is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    _response_format(fields.get("response_format"), "response_format")
    if (fields.get("response_format") or {}).get("type") == "json_object":
        _says_json(fields["messages"], "messages", "response_format")


def completions(fields: Fields) -> None:
    _model(fields)
    rules.apply(_COMPLETIONS, fields)
    _stream_options(fields)


def embeddings(fields: Fields) -> None:
    _model(fields)
    rules.apply(_EMBEDDINGS, fields, required=("input",))
    if fields.get("dimensions") is not None and "ada-002" in fields["model"]:
        raise ApiError("This model does not support specifying dimensions.", param="dimensions")


def responses(fields: Fields) -> None:
    _model(fields)
    rules.apply(_RESPONSES, fields, required=("input",))
    _tools(fields, nested=False)
    form = (fields.get("text") or {}).get("format")
    if form is not None:
        mapping("text.format", form)
    _response_format(form, "text.format")
    if (form or {}).get("type") == "json_object":
        _says_json([fields.get("instructions"), fields["input"]], "input", "text.format")
    if (previous := fields.get("previous_response_id")) is not None:
        message = f"Previous response with id '{previous}' not found."  # nothing is stored here
        raise ApiError(message, param="previous_response_id", code="previous_response_not_found")


# ------------------------------------------------------------------ rules of several endpoints


def _model(fields: Fields) -> None:
    if fields.get("model") is None:
        raise ApiError("you must provide a model parameter")
    text("model", fields["model"])


def _together(fields: Fields, one: str, other: str) -> None:
    if fields.get(one) is not None and fields.get(other) is not None:
        message = f"Setting '{one}' and '{other}' at the same time is not supported."
        raise ApiError(message, param=one, code="invalid_parameter_combination")


def _stream_options(fields: Fields) -> None:
    if fields.get("stream_options") is not None and not fields.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(message, param="stream_options")


def _says_json(messages: object, param: str, form: str) -> None:
    if "json" not in str(messages).lower():
        message = f"'{param}' must contain the word 'json' in some form, to use '{form}' of type 'json_object'."
        raise ApiError(message, param=param)


def _response_format(form: Fields | None, name: str) -> None:
    if form is None:
        return
    if form.get("type") is None:
        raise missing(f"{name}.type")
    one_of("json_object", "json_schema", "text")(f"{name}.type", form["type"])
    if form["type"] != "json_schema":
        return
    inner, place = (form, name) if "name" in form else (form.get("json_schema"), f"{name}.json_schema")
    if inner is None:
        raise missing(place)
    mapping(place, inner)
    rules.apply({"name": text, "schema": mapping, "strict": boolean}, inner, required=("name",))


# ------------------------------------------------------------------ tools


def _tools(fields: Fields, *, nested: bool) -> None:
    """`nested` as chat has it (`{"function": {"name": …}}`), or flat as the Responses API."""
    names = {_tool(f"tools[{index}]", tool, nested) for index, tool in enumerate(fields.get("tools") or ())}
    choice = fields.get("tool_choice")
    if not names:
        for param in ("tool_choice", "parallel_tool_calls"):
            if nested and fields.get(param) is not None:
                raise ApiError(f"'{param}' is only allowed when 'tools' are specified.", param=param)
        return
    if isinstance(choice, str):
        one_of("none", "auto", "required")("tool_choice", choice)
    elif isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
        wanted = (choice.get(choice["type"]) or {}).get("name") if nested else choice.get("name")
        if wanted not in names:
            message = f"Tool choice '{wanted}' not found in 'tools' parameter."
            raise ApiError(message, param="tool_choice")


def _tool(place: str, tool: Fields, nested: bool) -> str | None:
    kind = tool.get("type")
    if kind is None:
        raise missing(f"{place}.type")
    if kind not in ("function", "custom"):
        if nested:
            raise rules.wrong_value(f"{place}.type", kind, ("function", "custom"))
        return None
    inner, where = (tool.get(kind), f"{place}.{kind}") if nested else (tool, place)
    if inner is None:
        raise missing(where)
    mapping(where, inner)
    name = inner.get("name")
    if name is None:
        raise missing(f"{where}.name")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        message = f"Invalid '{where}.name': string does not match pattern. Expected a string that matches the pattern "
        raise ApiError(message + "'^[a-zA-Z0-9_-]+$'.", param=f"{where}.name", code="invalid_value")
    if inner.get("parameters") is not None:
        mapping(f"{where}.parameters", inner["parameters"])
    return name


def _tool_results(messages: Sequence[Fields]) -> None:
    """Every call has its result, right after it, and no result stands alone."""
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_ids:
                text_ = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise ApiError(f"Invalid parameter: {text_}", param=f"messages.[{index}].role")
            open_ids.remove(message["tool_call_id"])
            continue
        _none_open(open_ids, index)
        open_ids = [str(call.get("id")) for call in message.get("tool_calls") or ()]
    _none_open(open_ids, len(messages))


def _none_open(ids: list[str], index: int) -> None:
    if ids:
        message = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(ids)}"
        )
        raise ApiError(message, param=f"messages.[{index - 1}].role")


# ------------------------------------------------------------------ fields of each endpoint


def _message(name: str, value: object) -> None:
    mapping(name, value)
    assert isinstance(value, dict)
    if value.get("role") is None:
        raise missing(f"{name}.role")
    one_of(*_ROLES)(f"{name}.role", value["role"])
    content = value.get("content")
    if content is None:
        if value["role"] not in ("assistant", "function"):
            raise missing(f"{name}.content")
    elif not isinstance(content, str):
        items(_part)(f"{name}.content", content)
    if value.get("tool_calls") is not None:
        items(mapping, least=1)(f"{name}.tool_calls", value["tool_calls"])


def _part(name: str, value: object) -> None:
    mapping(name, value)
    assert isinstance(value, dict)
    if value.get("type") is None:
        raise missing(f"{name}.type")


def _prompt_or_input(name: str, value: object) -> None:
    """Text, tokens, or an array of either."""
    if isinstance(value, str):
        if not value and name == "input":
            raise ApiError("Invalid 'input': input cannot be an empty string.", param=name, code="invalid_value")
        return
    if not isinstance(value, list):
        raise rules.wrong_type(name, "one of a string, or an array of strings or tokens", value)
    if not value:
        message = f"Invalid '{name}': empty array. Expected an array with minimum length 1, "
        raise ApiError(message + "but got an empty array instead.", param=name, code="empty_array")
    is_tokens = all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    is_batch = all(isinstance(item, str | list) and item for item in value)
    if not is_tokens and not is_batch:
        raise ApiError(f"'{name}' holds something that is neither text nor tokens, or is empty.", param=name)
    if is_batch and len(value) > _MAX_INPUTS:
        message = f"Invalid '{name}': array too long. Expected an array with maximum length {_MAX_INPUTS}, "
        raise ApiError(message + f"but got {len(value)} instead.", param=name, code="array_above_max_length")


def _input_items(name: str, value: object) -> None:
    if not isinstance(value, str):
        items(mapping, least=1)(name, value)


def _tool_choice(name: str, value: object) -> None:
    if not isinstance(value, str | dict):
        raise rules.wrong_type(name, "one of a string or an object", value)


_SAMPLING: dict[str, Rule] = {
    "temperature": decimal(0, 2),
    "top_p": decimal(0, 1),
    "stream": boolean,
    "stream_options": mapping,
    "metadata": mapping,
    "user": text,
}
_PENALTIES: dict[str, Rule] = {
    "presence_penalty": decimal(-2, 2),
    "frequency_penalty": decimal(-2, 2),
    "logit_bias": mapping,
    "n": integer(1, 128),
    "stop": rules.text_or_texts(4),
    "seed": integer(-(2**63), 2**63 - 1),
}
_TOOLS: dict[str, Rule] = {"tools": items(mapping), "tool_choice": _tool_choice, "parallel_tool_calls": boolean}

_CHAT: dict[str, Rule] = {
    **_SAMPLING,
    **_PENALTIES,
    **_TOOLS,
    "messages": items(_message, least=1),
    "max_tokens": integer(1),
    "max_completion_tokens": integer(1),
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
    "response_format": mapping,
}
_COMPLETIONS: dict[str, Rule] = {
    **_SAMPLING,
    **_PENALTIES,
    "prompt": _prompt_or_input,
    "max_tokens": integer(0),
    "logprobs": integer(0, 5),
    "echo": boolean,
    "suffix": text,
    "best_of": integer(1, 20),
}
_EMBEDDINGS: dict[str, Rule] = {
    "input": _prompt_or_input,
    "encoding_format": one_of("float", "base64"),
    "dimensions": integer(1, 3072),
    "user": text,
}
_RESPONSES: dict[str, Rule] = {
    **_SAMPLING,
    **_TOOLS,
    "input": _input_items,
    "instructions": text,
    "max_output_tokens": integer(16),
    "previous_response_id": text,
    "text": mapping,
    "store": boolean,
}
