"""Which tools a request offers, and which of them the simulated model calls."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["function", "custom"]

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    kind: Kind
    parameters: Mapping[str, Any]
    """JSON schema of a function's arguments; empty for a custom tool, whose input is free text."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a request allows in the way of tools."""

    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    named: str | None = None
    """The tool that `tool_choice` names."""
    is_parallel: bool = True
    has_result: bool = False
    """The conversation ends with the result of a call: time to answer, unless a call is demanded."""


def offer(fields: Mapping[str, Any], *, has_result: bool) -> Offer:
    """From a checked request of the chat or the responses endpoint, which nest tools differently."""
    tools = [tool for item in fields.get("tools") or () if (tool := _tool(item))]
    choice = fields.get("tool_choice") or "auto"
    named = None
    if isinstance(choice, Mapping):
        if choice.get("type") == "allowed_tools":
            limits = choice.get("allowed_tools") or choice
            allowed = {_name(item) for item in limits.get("tools") or ()}
            tools = [tool for tool in tools if tool.name in allowed]
            choice = limits.get("mode", "auto")
        else:
            named = _name(choice)
            choice = "required"
    return Offer(
        tools=() if choice == "none" else tuple(tools),
        must_call=choice == "required",
        named=named,
        is_parallel=fields.get("parallel_tool_calls") is not False,
        has_result=has_result,
    )


def _tool(item: Mapping[str, Any]) -> Tool | None:
    """None for hosted tools (web search, …), which a simulator without a web does not call."""
    kind = item.get("type")
    if kind not in ("function", "custom"):
        return None
    inner = item.get(kind) or item
    return Tool(inner["name"], kind, inner.get("parameters") or {"type": "object"} if kind == "function" else {})


def _name(item: Mapping[str, Any]) -> str | None:
    """The tool that an entry of `tool_choice` names, in either endpoint's spelling."""
    inner = item.get(str(item.get("type")))
    name = inner.get("name") if isinstance(inner, Mapping) else item.get("name")
    return name if isinstance(name, str) else None


def to_call(offer: Offer, prompt: str, rng: random.Random) -> tuple[Tool, ...]:
    """The tools whose names share a word with `prompt`, else any one; just one unless calls may be parallel."""
    if not offer.tools or (offer.has_result and not offer.must_call):
        return ()
    if offer.named is not None:
        return tuple(tool for tool in offer.tools if tool.name == offer.named)
    said = {word.lower() for word in _WORD.findall(prompt)}
    wanted = [tool for tool in offer.tools if said & _significant(tool.name)] or [rng.choice(offer.tools)]
    return tuple(wanted if offer.is_parallel else wanted[:1])


def _significant(name: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(name) if len(word) > 3}
