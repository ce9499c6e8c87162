"""The prompt of a chat completion.

message   3 + role + texts (+ ":name")                      the cookbook; the name fitted on 5 rows
tools     appended to the first system message, which is made up where there is none; on reasoning
          models a message of its own
reply     3; on reasoning models 2
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.tokens.calls import Call, History, call_of
from gateway.tokens.content import content_of
from gateway.tokens.part import Part, weakest
from gateway.tokens.profile import MESSAGE, Profile, profile_of
from gateway.tokens.tools import NAMESPACE, format_rendering, functions_rendering

ROLE = 1
"""`system`, in every encoding."""

FORMAT = 4
FORMAT_WITH_TOOLS = 1
"""A response format beside its text. Fitted on 2 rows each (those with tools are Responses rows)."""

GPT5_TOOLS = 81
"""What GPT-5 is told about channels once there are tools. Fitted on 10 rows, exact on 10."""

CHOSEN_TOOL = 6
"""`tool_choice` naming a function, beside that name, before GPT-5. Fitted on 1 row; other choices cost nothing."""

_SYSTEM = ("system", "developer")
_RESULT = ("tool", "function")


def parts(fields: Mapping[str, Any], model: str) -> Iterator[Part]:
    profile = profile_of(model)
    messages = fields["messages"]
    appended = list(_appended(fields, profile)) if _has_extras(fields) else []
    joins = bool(appended) and not profile.is_reasoning
    host = next((i for i, message in enumerate(messages) if message["role"] in _SYSTEM), None) if joins else None
    if appended and host is None:
        yield Part("system", fixed=MESSAGE + ROLE, kind="fitted")
    history = History(profile, is_chat=True)
    for index, message in enumerate(messages):
        if message["role"] not in _RESULT:
            yield from history.rest()
        if index == host:
            yield _message(f"messages[{index}]", message, model, profile, "\n\n")
        elif message["role"] in _RESULT or message.get("tool_calls") or message.get("function_call"):
            yield from _tool_message(f"messages[{index}]", message, model, profile, history)
        else:
            yield _message(f"messages[{index}]", message, model, profile)
    yield from history.rest()
    yield from appended
    yield Part("reply", fixed=profile.reply, kind=profile.kind)


def _message(label: str, message: Mapping[str, Any], model: str, profile: Profile, after: str = "") -> Part:
    """`after` is what follows the message's text and is one token with the end of it, or not."""
    content = message.get("content")
    if isinstance(content, str) and "name" not in message and not after:
        return Part(label, (message["role"], content), profile.message_of(message["role"]), profile.kind)
    texts, fixed, kind = content_of(content, model, is_chat=True)
    if after and any(texts):
        texts = [*texts[:-1], texts[-1] + after]
    name = message.get("name")
    if isinstance(name, str):
        texts = [f":{name}", *texts]
        kind = weakest((kind, "fitted"))
    fixed += profile.message_of(message["role"])
    return Part(label, (message["role"], *texts), fixed, weakest((kind, profile.kind)))


def _tool_message(
    label: str, message: Mapping[str, Any], model: str, profile: Profile, history: History
) -> Iterator[Part]:
    if message["role"] in _RESULT:
        content = content_of(message.get("content"), model, is_chat=True)
        yield from history.result(label, message.get("tool_call_id"), content, message.get("name"))
        return
    if message.get("content"):
        yield _message(label, message, model, profile)
    yield from history.calls(label, list(_calls(message)))


def _calls(message: Mapping[str, Any]) -> Iterator[Call]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else [{"function": message.get("function_call")}]:
        function = call.get("function", call.get("custom")) if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield call_of(function, call.get("id"))


def _has_extras(fields: Mapping[str, Any]) -> bool:
    return "tools" in fields or "functions" in fields or "response_format" in fields


def _appended(fields: Mapping[str, Any], profile: Profile) -> Iterator[Part]:
    functions = functions_of(fields)
    if functions:
        fixed = NAMESPACE + (GPT5_TOOLS if profile.is_gpt5 else 0)
        rendering = functions_rendering(functions, is_gpt5=profile.is_gpt5)
        yield Part("tools", fixed=fixed, kind="fitted", rendering=rendering)
        chosen = _chosen_tool(fields)
        if chosen is not None and not profile.is_gpt5:
            yield Part("tool_choice", (chosen,), CHOSEN_TOOL, "fitted")
    response_format = fields.get("response_format")
    schema = response_format.get("json_schema") if isinstance(response_format, dict) else None
    if isinstance(schema, dict):
        fixed = FORMAT_WITH_TOOLS if functions else FORMAT
        yield Part("response_format", fixed=fixed, kind="fitted", rendering=format_rendering(schema))


def functions_of(fields: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The functions among `tools`, or the `functions` they were called before, without their wrapping."""
    tools = fields.get("tools")
    if isinstance(tools, list):
        inner = (tool.get("function", tool.get("custom")) for tool in tools if isinstance(tool, dict))
        return [function for function in inner if isinstance(function, dict)]
    functions = fields.get("functions")
    return [function for function in functions if isinstance(function, dict)] if isinstance(functions, list) else []


def _chosen_tool(fields: Mapping[str, Any]) -> str | None:
    choice = fields.get("tool_choice", fields.get("function_call"))
    function = choice.get("function", choice) if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None
