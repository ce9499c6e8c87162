"""OpenAI's prompt objects → versions of ours, from JSON in any of the forms in which they were shown, or from text.

    a prompt             `id`, `name`, `version`, `messages` or `instructions`, model and parameters
    a response           `prompt`, and the messages as `instructions`, with the values of its variables in them
    the Playground's     a request of the Responses API: `input`, `text`, `tools`, …
    text                 messages behind lines that say `System:`, `User:`, …; or one message for the developer's role

OpenAI put values in where `{{name}}` stands, and took every other brace for text; so do the templates made here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.value import value

_NAME = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]{0,63})\s*\}\}|(\{\{|\{%|\{#)")
_SPEAKER = re.compile(r"(?im)^\s*(?:#+\s*)?\[?(system|developer|user|assistant)\]?(?:\s+message)?\s*:?[ \t]*$")
_ROLES = {"system": "system", "developer": "developer", "user": "user", "assistant": "assistant"}
_ATTACHED = {"input_image": "image", "input_file": "file"}
_PARAMETERS = (
    *("temperature", "top_p", "max_output_tokens", "max_completion_tokens", "max_tokens", "reasoning", "text"),
    *("tool_choice", "parallel_tool_calls", "truncation", "service_tier", "frequency_penalty", "presence_penalty"),
)
_SHORTEST = 4
"""Characters of a value that is looked for in a message: shorter ones stand in it by chance."""
_MOST = 100


class NotImportable(Exception):
    """Nothing of what is given is a prompt; the message says what was looked for."""


@value
class Imported:
    document: PromptDocument
    id: str | None
    version: int | None
    """The number that it had."""
    doubts: tuple[str, ...]
    """What somebody should look at."""


def from_json(given: Any, *, name: str | None = None) -> list[Imported]:
    """Every prompt in `given`: one, a list, or a page with `data`. Raises NotImportable."""
    found = [_imported(one, name) for one in _several(given)]
    if not found:
        raise NotImportable("expected an object with `messages`, `instructions` or `input`, or a list of such")
    return found


def from_text(text: str, *, name: str) -> Imported:
    """What was pasted: each message behind a line with its role, or one message."""
    starts = list(_SPEAKER.finditer(text))
    if starts and not text[: starts[0].start()].strip():
        ends = [start.start() for start in starts[1:]] + [len(text)]
        spoken = [(start[1].lower(), text[start.end() : end].strip()) for start, end in zip(starts, ends, strict=True)]
    else:
        spoken = [("developer", text.strip())]
    return _made({}, [one for one in spoken if one[1]], name, {})


# ------------------------------------------------------------------ JSON


def _several(given: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(given, list):
        for one in given[:_MOST]:
            yield from _several(one)
    elif isinstance(given, Mapping):
        inner = given.get("data", given.get("versions"))
        if isinstance(inner, list):
            outer = {key: given[key] for key in ("id", "name") if key in given and "versions" in given}
            yield from ({**outer, **one} for each in inner[:_MOST] for one in _several(each))
        elif list(_spoken(given)):
            yield given
        elif isinstance(given.get("prompt"), Mapping):
            yield from _several(given["prompt"])


def _imported(given: Mapping[str, Any], name: str | None) -> Imported:
    reference = given.get("prompt")
    values = reference.get("variables") if isinstance(reference, Mapping) else None
    about = {**given, **reference} if isinstance(reference, Mapping) else given
    spoken = [(role, text) for role, text in _spoken(given)]
    return _made(about, spoken, name, values if isinstance(values, Mapping) else {})


def _spoken(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Role and text of each message."""
    for key in ("instructions", "messages", "input", "template"):
        said = given.get(key)
        if isinstance(said, str) and said:
            yield ("user" if key == "input" else "developer", said)
        for one in said if isinstance(said, list) else ():
            if isinstance(one, Mapping) and _ROLES.get(str(one.get("role"))):
                yield _ROLES[str(one["role"])], _text_of(one.get("content"))


def _text_of(content: Any) -> str:
    if isinstance(content, Sequence) and not isinstance(content, str):
        texts = [_named_in(part) or part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _named_in(part: Mapping[str, Any]) -> str | None:
    """`{{photo}}`, of the image or file that a caller gives; None for one that always is the same, and for text."""
    found = (given for given in part.values() if isinstance(given, str) and _NAME.fullmatch(given))
    return next(found, None) if part.get("type") in _ATTACHED else None


def _attached(given: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """The type of each image or file in the messages, and the variable that it is."""
    said = [one for key in ("instructions", "messages", "input", "template") for one in _list(given.get(key))]
    for part in (part for one in said if isinstance(one, Mapping) for part in _list(one.get("content"))):
        if isinstance(part, Mapping) and (kind := _ATTACHED.get(str(part.get("type")))):
            match = _NAME.fullmatch(_named_in(part) or "")
            yield kind, match[1] if match else None


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


# ------------------------------------------------------------------ what is made of it


def _made(
    given: Mapping[str, Any], spoken: Sequence[tuple[str, str]], name: str | None, values: Mapping[str, Any]
) -> Imported:
    doubts: list[str] = []
    messages, variables = [], dict[str, Variable]()
    for role, said in spoken:
        text, used = as_template(_with_names(said, values, doubts))
        variables |= {one: Variable() for one in used}
        messages.append(Message(role=role, content=text))  # type: ignore[arg-type]  # one of _ROLES
    for one, found in values.items():
        if isinstance(found, Mapping) and found.get("type") in ("input_image", "input_file") and one.isidentifier():
            variables[one] = Variable(type="image" if found["type"] == "input_image" else "file")
            doubts.append(f"variable '{one}' is an {found['type']}: write {{{{{one}}}}} where it belongs")
    for kind, named in _attached(given):
        if named is None:
            doubts.append(f"a message has one {kind} that is always the same, which was left out: make it a variable")
        else:
            variables[named] = Variable(type=kind)  # type: ignore[arg-type]  # one of _ATTACHED
    id_ = given.get("id", given.get("prompt_id"))
    id_ = id_ if isinstance(id_, str) and id_.startswith("pmpt_") else None
    if not messages:
        raise NotImportable("expected at least one message with a text")
    document = PromptDocument(
        name=_name(name or given.get("name") or id_ or "imported"),
        messages=tuple(messages),
        variables=variables,
        model=given["model"] if isinstance(given.get("model"), str) else None,
        parameters=_parameters(given),
        tools=_tools(given.get("tools")),
    )
    number = str(given.get("version", ""))
    return Imported(document, id_, int(number) if number.isdigit() and len(number) < 6 else None, tuple(doubts))


def as_template(text: str) -> tuple[str, list[str]]:
    """`text` as a template that says the same, and the variables in it, in their order."""
    names: list[str] = []

    def kept(match: re.Match[str]) -> str:
        if match[1] is None:
            return f"{{{{ '{match[2]}' }}}}"
        if match[1] not in names:
            names.append(match[1])
        return f"{{{{ {match[1]} }}}}"

    return _NAME.sub(kept, text), names


def _with_names(text: str, values: Mapping[str, Any], doubts: list[str]) -> str:
    """`text` with the names of variables in place of their values, the longest first."""
    known = {name: _text_of([found]) if isinstance(found, Mapping) else found for name, found in values.items()}
    for name, found in sorted(known.items(), key=lambda item: -len(str(item[1]))):
        if isinstance(found, str) and len(found) >= _SHORTEST and found in text:
            text = text.replace(found, f"{{{{{name}}}}}")
            doubts.append(f"variable '{name}' was put back where its value stood: see that it is the right place")
    return text


def _name(given: object) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(given)).strip("-._")[:64]
    return name or "imported"


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: given[key] for key in _PARAMETERS if given.get(key) is not None}
    text = found.get("text")
    if isinstance(text, Mapping) and text.get("format") in ({"type": "text"}, None) and len(text) <= 1:
        del found["text"]  # the default
    return {key: one for key, one in found.items() if one not in ({}, [])}


def _tools(given: Any) -> tuple[dict[str, Any], ...] | None:
    tools = tuple(dict(tool) for tool in given if isinstance(tool, Mapping)) if isinstance(given, list) else ()
    return tools or None
