"""The prompt of a Responses API request.

The same messages as chat's, but the tools stand in a message of their own on every model. Of what a
request only refers to (a previous response, a conversation, a stored prompt, what hosted tools find)
nothing is counted: the count then says `bound` and means what can be seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.tokens.calls import Call, History, call_of
from gateway.tokens.content import content_of
from gateway.tokens.part import Part, weakest
from gateway.tokens.profile import MESSAGE, Profile, profile_of
from gateway.tokens.tools import NAMESPACE, format_rendering, functions_rendering

ROLE = 1

TOOLS = -2
"""The message of the tools on models before GPT-5, which has no role. Fitted on 16 rows, exact on 15."""

TOOLS_GPT5 = MESSAGE + ROLE - 1
"""On GPT-5 and later. Fitted on 13 rows, within 3 on all."""

REQUIRED = 9
"""`tool_choice: required` on models before GPT-5. Fitted on 2 rows, within 1 on both."""

FORMAT = 1
"""A response format beside its text. Fitted on 2 rows."""

HOSTED = {
    "code_interpreter": 1_470,
    "computer_use_preview": 500,
    "file_search": 900,
    "image_generation": 2_300,
    "local_shell": 500,
    "mcp": 1_200,
    "shell": 500,
    "tool_search": 200,
    "web_search": 9_500,
    "web_search_preview": 9_500,
}
"""What a hosted tool adds, about: its definition and, of search, a first page of results. From recorded rows."""

UNSEEN_TOOL = 500

_SEALED_OVERHEAD = 57 + 540
"""Bytes of `encrypted_content`: a Fernet token's version, time, vector and signature; its empty contents."""

_SEALED_SCALE, _SEALED_POWER = 0.0763, 1.146
"""From the other bytes to tokens. Fitted on 6 rows of 36 to 1,814 tokens, within 7 on all."""


def parts(fields: Mapping[str, Any], model: str) -> Iterator[Part]:
    profile = profile_of(model)
    instructions = fields.get("instructions")
    if isinstance(instructions, str) and instructions:
        yield Part("instructions", ("system", instructions), MESSAGE, profile.kind)
    yield from _tools(fields, profile)
    value = fields.get("input")
    if isinstance(value, str):
        yield Part("input", ("user", value), MESSAGE, profile.kind)
    elif isinstance(value, list):
        yield from _items([item for item in value if isinstance(item, dict)], model, profile)
    reasoning = fields.get("reasoning")
    has_mode = isinstance(reasoning, dict) and reasoning.get("mode") is not None
    if has_mode or any(fields.get(field) for field in ("previous_response_id", "conversation", "prompt")):
        yield Part("unseen", kind="bound")
    yield Part("reply", fixed=profile.reply, kind=profile.kind)


# ------------------------------------------------------------------ tools and formats


def _tools(fields: Mapping[str, Any], profile: Profile) -> Iterator[Part]:
    tools = fields.get("tools")
    tools = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    yield from _functions("tools", tools, profile)
    hosted = [tool for tool in tools if tool.get("type") not in ("function", "custom")]
    for tool in hosted:
        yield Part(f"tools.{tool.get('type')}", fixed=HOSTED.get(str(tool.get("type")), UNSEEN_TOOL), kind="bound")
    if tools and fields.get("tool_choice") == "required" and not profile.is_gpt5:
        yield Part("tool_choice", fixed=REQUIRED, kind="fitted")
    text = fields.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema":
        yield Part("text.format", fixed=FORMAT, kind="fitted", rendering=format_rendering(form))


def _functions(label: str, tools: Sequence[Mapping[str, Any]], profile: Profile) -> Iterator[Part]:
    functions = [tool for tool in tools if tool.get("type") in ("function", "custom")]
    if functions:
        fixed = NAMESPACE + (TOOLS_GPT5 if profile.is_gpt5 else TOOLS)
        rendering = functions_rendering(functions, is_gpt5=profile.is_gpt5)
        yield Part(label, fixed=fixed, kind="fitted", rendering=rendering)


# ------------------------------------------------------------------ items of the input


def _items(items: Sequence[Mapping[str, Any]], model: str, profile: Profile) -> Iterator[Part]:
    history = History(profile, is_chat=False)
    last_user = max((index for index, item in enumerate(items) if item.get("role") == "user"), default=-1)
    index = 0
    while index < len(items):
        item, label = items[index], f"input[{index}]"
        kind = item.get("type", "message")
        if kind != "function_call_output":
            yield from history.rest()
        if kind == "function_call":
            calls = list(_calls_from(items, index))
            yield from history.calls(label, calls)
            index += len(calls)
            continue
        if kind == "message":
            yield _message(label, item, model, profile)
        elif kind == "function_call_output":
            content = content_of(item.get("output"), model, is_chat=False)
            yield from history.result(label, item.get("call_id"), content)
        elif kind == "reasoning":
            yield Part(label, fixed=_reasoning(item) if index > last_user else 0, kind="bound")
        else:
            yield from _unseen(label, item, profile)
        index += 1
    yield from history.rest()


def _message(label: str, item: Mapping[str, Any], model: str, profile: Profile) -> Part:
    texts, fixed, kind = content_of(item.get("content"), model, is_chat=False)
    role = item.get("role")
    texts = [role, *texts] if isinstance(role, str) else texts
    return Part(label, tuple(texts), profile.message_of(role) + fixed, weakest((kind, profile.kind)))


def _calls_from(items: Sequence[Mapping[str, Any]], index: int) -> Iterator[Call]:
    """The calls from `index` on: those that follow one another were made in parallel."""
    while index < len(items) and items[index].get("type") == "function_call":
        item = items[index]
        yield call_of(item, item.get("call_id"), is_stored=isinstance(item.get("id"), str))
        index += 1


def _reasoning(item: Mapping[str, Any]) -> int:
    """Reasoning since the last user message stays in the prompt, sealed: its size tells about its tokens."""
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str):
        return 0
    size = len(sealed) * 3 // 4 - _SEALED_OVERHEAD
    return int(_SEALED_SCALE * float(max(0, size)) ** _SEALED_POWER)


def _unseen(label: str, item: Mapping[str, Any], profile: Profile) -> Iterator[Part]:
    """Hosted tools' items: their tools, texts and arguments as far as they are there."""
    tools = item.get("tools")
    if isinstance(tools, list):
        yield from _functions(label, [tool for tool in tools if isinstance(tool, dict)], profile)
    texts = [text for text in (item.get("output"), item.get("arguments")) if isinstance(text, str)]
    yield Part(label, tuple(texts), MESSAGE + ROLE, "bound")
