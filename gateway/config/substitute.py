"""Values that come from outside the text: `${NAME}`, `${NAME:-default}`, `os.environ/NAME`, `${file:PATH}`.

Done on single values after the YAML is read, never on the text: a password with a `#` or a line break in it cannot
change what the file means. This is also where a plain value gets its type, since `port: ${PORT}` is a number only
once it is replaced; a secret stays text whatever it looks like.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath

from gateway.config.document import Document, plain_value
from gateway.config.problem import Path, Problem
from gateway.config.tree import Node, walk

MAX_SECRET_FILE_BYTES = 65_536

_REFERENCE = re.compile(r"\$(?=\$\{)(?P<escaped>\$\{)|\$\{(?P<inner>[^{}]*)\}|(?P<open>\$\{)")
_INNER = re.compile(r"file:(?P<file>.+)|(?P<name>[A-Za-z_]\w*)(?P<default>:-.*)?", re.ASCII | re.DOTALL)
_LITELLM = re.compile(r"os\.environ/(\S+)")


class _Refused(Exception):
    """A reference that cannot be followed; the text says why and holds no value."""


def substitute(
    document: Document, *, is_secret: Callable[[Path], bool], env: Mapping[str, str], folder: FilePath
) -> None:
    """Give every scalar of `document` its final value; what goes wrong is added to its problems and lost places."""
    unreadable = set(document.lost)
    for node in walk(document.root):
        if isinstance(node.value, str) and node.path not in unreadable:
            try:
                _settle(node, is_secret=is_secret(node.path), env=env, folder=folder)
            except _Refused as exc:
                document.problems.append(Problem(node.path, str(exc), node.line))
                document.lost.append(node.path)


def _settle(node: Node, *, is_secret: bool, env: Mapping[str, str], folder: FilePath) -> None:
    raw = str(node.value)
    text, origins, is_whole = _replaced(raw, env=env, folder=folder, may_be_empty=not is_secret)
    node.origin = " and ".join(origins) or None
    node.value = plain_value(text) if node.is_plain and (is_whole or not origins) else text
    if is_secret:
        node.value = _secret(text, is_null=node.value is None)
    if isinstance(node.value, float) and not math.isfinite(node.value):
        raise _Refused(f"expected a finite number, got {node.origin or raw}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Refused("expected UTF-8 text, got bytes that are none") from None


def _secret(text: str, *, is_null: bool) -> str | None:
    """A secret is text even where it looks like a number; an empty one is none."""
    if is_null or text == "":
        return None
    if text != text.strip() or not text.isprintable():
        raise _Refused("expected a secret without blanks at its ends and without line breaks, got one with them")
    return text


def _replaced(raw: str, *, env: Mapping[str, str], folder: FilePath, may_be_empty: bool) -> tuple[str, list[str], bool]:
    """`raw` with its references replaced, what they were, and whether one reference was all of it."""
    if match := _LITELLM.fullmatch(raw):
        raw = f"${{{match[1]}}}"
    origins: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        text, origin = _followed(match["inner"], env=env, folder=folder, may_be_empty=may_be_empty)
        origins.append(origin)
        return text

    text = _REFERENCE.sub(value_of, raw)
    only = _REFERENCE.fullmatch(raw)
    return text, origins, only is not None and only["inner"] is not None


def _followed(inner: str | None, *, env: Mapping[str, str], folder: FilePath, may_be_empty: bool) -> tuple[str, str]:
    """The value that `${inner}` stands for and how to name it in messages (without its default)."""
    match = _INNER.fullmatch(inner or "")
    if match is None:
        raise _Refused("expected ${NAME}, ${NAME:-default} or ${file:PATH}, got another ${ (to mean it, write $${)")
    if match["file"]:
        origin = f"${{file:{match['file']}}}"
        text = _file(folder / match["file"], origin)
    else:
        name, default = match["name"], match["default"]
        origin = f"${{{name}}}"
        if default is not None:
            return env.get(name) or default[2:], origin
        if name not in env:
            raise _Refused(f"expected {origin} to be set in the environment, got nothing")
        text = env[name]
    if not (text or may_be_empty):
        raise _Refused(f"expected {origin} to hold a secret, got an empty value")
    return text, origin


def _file(path: FilePath, origin: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_FILE_BYTES + 1)
        text = content.decode()
    except (OSError, ValueError) as exc:  # ValueError: no UTF-8, or a NUL in the path
        why = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
        raise _Refused(f"expected {origin} to be a readable file, got: {why}") from None
    if len(content) > MAX_SECRET_FILE_BYTES:
        raise _Refused(f"expected {origin} to hold at most {MAX_SECRET_FILE_BYTES:,} bytes, got more")
    return text.removesuffix("\n").removesuffix("\r")
