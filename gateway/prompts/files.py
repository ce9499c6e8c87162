"""A version of a prompt as a file that people review: YAML in front, then the messages as they are.

    ---
    name: support-bot
    model: gpt-5-mini
    variables:
      question: {untrusted: true}
    ---
    === system ===
    You help customers of {{ shop }}.

    === user ===
    {{ question }}

A line that is `=== ROLE ===` and nothing else begins a message. Empty lines before the next such line, or before the
end of the file, are layout; a message that does end in line breaks closes with a line of one backslash. Where a message
has such a line itself, it is written with one more backslash in front.
"""

import re
from collections.abc import Iterable
from typing import Any

import orjson
import yaml
from pydantic import ValidationError

from gateway.config.document import plain_value, read
from gateway.config.problem import dotted
from gateway.config.tree import Node, child_at
from gateway.prompts.document import PromptDocument
from gateway.value import value

SUFFIX = ".prompt"
_FENCE = "---"
_FIRST = ("name", "model")
_HEADER = re.compile(r"=== (system|developer|user|assistant) ===")
_ESCAPED = re.compile(r"(\\*)(=== (?:system|developer|user|assistant) ===|\\)")
"""A line that means something, behind so many backslashes."""


class FileProblem(Exception):
    """A file is no prompt; `problems` are a line of the file and what is wrong there."""

    def __init__(self, problems: list[tuple[int, str]]) -> None:
        super().__init__("\n".join(f"line {line}: {message}" for line, message in problems))
        self.problems = problems


@value
class PromptFile:
    document: PromptDocument
    lines: tuple[int, ...]
    """The line of the file on which each message's text begins, from 1."""


# ------------------------------------------------------------------ reading


def read_file(text: str) -> PromptFile:
    """What `text` says. Raises FileProblem with all that is wrong with it."""
    text = text.removeprefix("\ufeff")
    if text.partition("\n")[0].endswith("\r"):
        text = text.replace("\r\n", "\n")  # a checkout on Windows
    lines = text.split("\n")
    if lines[0] != _FENCE or _FENCE not in lines[1:]:
        raise FileProblem([(1, "expected YAML between two lines of `---`, and then the messages")])
    end = lines.index(_FENCE, 1)
    front = read("\n{}\n".format("\n".join(lines[1:end])))  # its lines keep their numbers
    if front.problems:
        raise FileProblem([(problem.line or 1, problem.text) for problem in front.problems])
    fields = _plain(front.root)
    if "messages" in fields:
        raise FileProblem([(_line(front.root, ("messages",)), "messages stand below the YAML, not in it")])
    found = list(_messages(lines, end + 1))
    fields["messages"] = [{"role": role, "content": content} for role, content, _ in found]
    places = tuple(line for _, _, line in found)
    try:
        document = PromptDocument.model_validate_json(orjson.dumps(fields))
    except ValidationError as error:
        raise FileProblem(list(_problems(error, front.root, places))) from None
    except TypeError:
        raise FileProblem([(1, "a number in the YAML is too long")]) from None
    return PromptFile(document, places)


def _plain(node: Node) -> Any:
    """Bare values. There is no environment here: `${NAME}` is text."""
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    return plain_value(node.value) if node.is_plain and isinstance(node.value, str) else node.value


def _messages(lines: list[str], start: int) -> Iterable[tuple[str, str, int]]:
    """Role, content and line of each message in `lines` from index `start` on."""
    headers = [index for index in range(start, len(lines)) if _HEADER.fullmatch(lines[index])]
    first = next((index for index in range(start, len(lines)) if lines[index].strip()), None)
    if not headers or first != headers[0]:
        where = first if first is not None else len(lines) - 1
        raise FileProblem([(where + 1, "expected a line such as `=== system ===` before the first message")])
    for index, end in zip(headers, [*headers[1:], len(lines)], strict=True):
        match = _HEADER.fullmatch(lines[index])
        assert match is not None
        yield match[1], _content(lines[index + 1 : end]), index + 2


def _content(lines: list[str]) -> str:
    while lines and not lines[-1]:
        lines.pop()
    if lines and lines[-1] == "\\":
        lines[-1] = ""
    return "\n".join(line[1:] if line.startswith("\\") and _ESCAPED.fullmatch(line) else line for line in lines)


def _problems(error: ValidationError, root: Node, places: tuple[int, ...]) -> Iterable[tuple[int, str]]:
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        path = each["loc"]
        words = "unknown key" if each["type"] == "extra_forbidden" else each["msg"].removeprefix("Value error, ")
        line = _line(root, path)
        if path[:1] == ("messages",) and len(path) > 1 and isinstance(path[1], int):
            line = places[path[1]]
        yield line, f"{dotted(path)}: {words}" if path else words


def _line(root: Node, path: Iterable[str | int]) -> int:
    """Of the value at `path`, or of the last one on the way there."""
    node = root
    for step in path:
        child = child_at(node, step)
        if child is None:
            break
        node = child
    return node.line


# ------------------------------------------------------------------ writing


def write_file(document: PromptDocument) -> str:
    """The text of which `read_file` makes an equal document."""
    fields = document.model_dump(mode="json", exclude_defaults=True, exclude={"messages"})
    front = {**{key: fields[key] for key in _FIRST if key in fields}, **fields}
    head = yaml.dump(front, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    parts = [f"=== {message.role} ===\n{_written(message.content)}" for message in document.messages]
    return f"{_FENCE}\n{head}{_FENCE}\n" + "\n".join(parts)


def _written(content: str) -> str:
    lines = ["\\" + line if _ESCAPED.fullmatch(line) else line for line in content.split("\n")]
    if not lines[-1] and len(lines) > 1:
        lines[-1] = "\\"
    text = "\n".join(lines)
    return f"{text}\n" if text else ""


class _Dumper(yaml.SafeDumper):
    """Texts that the core schema would take for something else stand in quotes; those of several lines as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if not isinstance(plain_value(text), str) or not text.replace("\n", "").isprintable():
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
