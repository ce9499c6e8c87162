"""Tool calls and their results in a conversation's history.

A call reaches the model as a message of the assistant to `functions.NAME` whose text is the
arguments as compact JSON, the result as a message from `functions.NAME`: so a name costs twice.
Models before GPT-5 are shown parallel calls as a single one, to `multi_tool_use.parallel`, and their
results as a single message: a JSON array in Python's spelling. Rows and figures: `docs/tokens.md`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gateway.tokens.content import Content
from gateway.tokens.part import Part, weakest
from gateway.tokens.profile import Profile


class Call(NamedTuple):
    id: str
    name: str
    arguments: str
    is_stored: bool = False
    """It carries the id under which the Responses API made it."""


class Costs(NamedTuple):
    """What a call costs beside its name and arguments."""

    call: int
    stored: int = 0
    """More, if it is one that the API made itself."""
    empty: int = 0
    """More, if it has no arguments."""


CHAT = Costs(call=8)
CHAT_GPT5 = Costs(call=14, empty=1)
RESPONSES = Costs(call=6, stored=3)
RESPONSES_GPT5 = Costs(call=15, stored=3)
"""Fitted on 10, 5, 9 and 4 rows: exact on 9, 5, 8 and 2, within 3 on all of which the API kept nothing to itself."""

RESULT = 5
"""A result beside its name and text."""

PARALLEL = 9
PARALLEL_RESULTS = 11
"""A `multi_tool_use.parallel` call and the one message with all its results, beside their JSON.

Fitted on 4 rows, exact on 4 (and on 8 of the other half's 8), all of two calls.
"""


class History:
    """The calls of one conversation so far: a result is told from its call's id alone."""

    def __init__(self, profile: Profile, *, is_chat: bool) -> None:
        gpt5, others = (CHAT_GPT5, CHAT) if is_chat else (RESPONSES_GPT5, RESPONSES)
        self._costs = gpt5 if profile.is_gpt5 else others
        self._joins_parallel = not profile.is_gpt5
        self._names: dict[str, str] = {}
        self._parallel: set[str] = set()
        self._waiting: list[tuple[str, Content]] = []

    def calls(self, label: str, calls: Sequence[Call]) -> list[Part]:
        """The parts of calls that were made together."""
        self._names.update((call.id, call.name) for call in calls)
        if len(calls) > 1 and self._joins_parallel:
            self._parallel.update(call.id for call in calls)
            return [Part(label, (_tool_uses(calls),), PARALLEL, "fitted")]
        return [self._single(label, call) for call in calls]

    def result(self, label: str, call_id: Any, content: Content, name: Any = None) -> list[Part]:
        """The part of one result; `name` is what a client may have given beside the id.

        Results of a parallel call are one message: they are kept back until `rest` asks for them.
        """
        call_id = call_id if isinstance(call_id, str) else ""
        if call_id in self._parallel:
            self._waiting.append((label, content))
            return []
        known = self._names.get(call_id, name if isinstance(name, str) else "tool")
        kind = weakest(("fitted", content.kind))
        return [Part(label, (known, *content.texts), RESULT + content.fixed, kind)]

    def rest(self) -> list[Part]:
        """The results of a parallel call, once something else follows them."""
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, []
        values = json.dumps([_value("".join(content.texts)) for _, content in waiting])
        fixed = PARALLEL_RESULTS + sum(content.fixed for _, content in waiting)
        return [Part(waiting[0][0], (values,), fixed, weakest(("fitted", *(content.kind for _, content in waiting))))]

    def _single(self, label: str, call: Call) -> Part:
        arguments = compact(call.arguments)
        fixed = self._costs.call
        fixed += self._costs.stored if call.is_stored else 0
        fixed += self._costs.empty if arguments == "{}" else 0
        return Part(label, (call.name, arguments), fixed, "fitted")


def call_of(fields: Mapping[str, Any], call_id: Any, *, is_stored: bool = False) -> Call:
    """A Call of what the client sent under `name` and `arguments`, whatever it was."""
    name, arguments = fields.get("name"), fields.get("arguments")
    return Call(
        call_id if isinstance(call_id, str) else "",
        name if isinstance(name, str) else "",
        arguments if isinstance(arguments, str) else "",
        is_stored,
    )


def _tool_uses(calls: Sequence[Call]) -> str:
    uses = (f'{{"recipient_name":"functions.{call.name}","parameters":{compact(call.arguments)}}}' for call in calls)
    return f'{{"tool_uses":[{",".join(uses)}]}}'


def compact(arguments: str) -> str:
    """JSON without spaces; what is not JSON, or nested beyond orjson's limit, stays as it is."""
    try:
        return orjson.dumps(orjson.loads(arguments)).decode()
    except (ValueError, TypeError):
        return arguments


def _value(text: str) -> Any:
    """What a result says, if it is JSON; else the text itself."""
    try:
        value = json.loads(text)
        json.dumps(value)
    except (ValueError, RecursionError):
        return text
    return value
