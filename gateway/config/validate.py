"""A document → a Config, or everything that keeps it from being one, in words of ours.

Pydantic stops short in two ways that would cost people a second round: a model's own rules are not tried while one
of its fields is wrong, and rules across sections need a whole Config. So what is wrong is reported, taken out, and
the rest is tried again; a problem that only the taking out has caused is not reported.
"""

import itertools
import json

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import schema
from gateway.config.document import Document
from gateway.config.model import Config
from gateway.config.problem import Path, Problem, counted, did_you_mean, quoted
from gateway.config.tree import Node, as_json, as_node, child_at, remove

_KEY_ITSELF = "[key]"
"""How pydantic ends the location of a mapping's key that is itself wrong."""
_NAMES_SHOWN = 8


def validate(document: Document) -> Config | None:
    """Adds to the document's problems and takes what is wrong out of it; None when nothing usable was left."""
    document.lost += [gone for path in document.lost if (gone := remove(document.root, path))]
    stand_ins: set[Path] = set()
    while True:
        try:
            # stdlib's json, not orjson: an integer of more than 64 bits has to arrive and be refused by its bounds
            return Config.model_validate_json(json.dumps(as_json(document.root)))
        except ValidationError as exc:
            errors = exc.errors(include_url=False)
        if not _repair(document, errors, stand_ins):
            return None


def hangs_on(path: Path, lost: list[Path]) -> bool:
    """Was something taken out at `path`, above it, or right below it?"""
    return any(path[: len(gone)] == gone or gone[:-1] == path for gone in lost)


def _repair(document: Document, errors: list[ErrorDetails], stand_ins: set[Path]) -> bool:
    """Report `errors` and take away their causes; False when nothing could be changed."""
    known_lost = list(document.lost)
    found = [(error, *locate(document.root, error["loc"])) for error in errors]  # before any index moves
    found = [(error, node, path) for error, node, path in found if not _only_counts_the_sound(error, node)]
    has_changed = False
    for error, node, path in found:
        if not hangs_on(path, known_lost):
            document.problems.append(Problem(path, _explain(error, node, path), node.line))
        if error["type"] == "missing" and path not in stand_ins and _stand_in(node, path):
            stand_ins.add(path)
            gone: Path | None = path
        else:
            gone = remove(document.root, node.path)
        if gone is not None:
            document.lost.append(gone)
            has_changed = True
    return has_changed


def _only_counts_the_sound(error: ErrorDetails, node: Node) -> bool:
    """Pydantic finds a list too short also when enough entries are there and some of them are in error."""
    return error["type"] == "too_short" and len(node.children) >= error["ctx"]["min_length"]


def _stand_in(parent: Node, path: Path) -> bool:
    """Put something valid where a value is required, so that an upstream without its URL is still a known upstream."""
    value = schema.valid_value(path)
    if value is None or not isinstance(parent.value, dict):
        return False
    parent.value[str(path[-1])] = as_node(value, path, parent.line)
    return True


def locate(root: Node, location: Path) -> tuple[Node, Path]:
    """The node nearest to `location` (indexes as things stand now), and the place in the text that is meant."""
    node = root
    for i, step in enumerate(location):
        child = child_at(node, step)
        if child is None:
            rest = tuple(step for step in location[i:] if step != _KEY_ITSELF)
            return node, node.path + rest
        node = child
    return node, node.path


# ------------------------------------------------------------------ words


def _explain(error: ErrorDetails, node: Node, path: Path) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(path)
    if error["loc"][-1:] == (_KEY_ITSELF,):
        if schema.known_keys(path[:-1]):
            return unknown_key(path)
        return f"expected {schema.expected(path, of_key=True)} as a key, got {quoted(str(path[-1]))}"
    if kind == "missing":
        return f"expected {schema.expected(path)}, got nothing"
    if kind == "value_error":
        return f"{error['msg'].removeprefix('Value error, ')}, got {shown(node)}"
    if kind in ("too_short", "too_long"):
        bound = "at least" if kind == "too_short" else "at most"
        entries = counted(context["min_length" if kind == "too_short" else "max_length"], "entry")
        return f"expected {bound} {entries}, got {len(node.children)}"
    is_too_much = kind in ("less_than", "less_than_equal")
    words = f"expected {schema.expected(path, with_upper_bound=is_too_much)}, got {shown(node)}"
    return words + did_you_mean(str(node.value), schema.choices(path))


def unknown_key(path: Path) -> str:
    """Nothing of the value is shown: a misspelled `api_key` holds a key all the same."""
    word, known = str(path[-1]), schema.known_keys(path[:-1])
    deeper = next((name for name in schema.keys_one_level_down(path[:-1]) if name.endswith(f".{word}")), None)
    hint = f" (did you mean {deeper!r}?)" if deeper else did_you_mean(word, known)
    return f"expected {'a known key' if hint else 'one of ' + ', '.join(known)}, got {quoted(word)}{hint}"


def shown(node: Node) -> str:
    """What stands at `node`, as far as a message may say."""
    value = node.value
    if node.origin is not None:
        return f"{'an empty value' if value in (None, '') else 'a value'} from {node.origin}"
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return _container(value, node.path)
    if schema.is_secret(node.path):
        return "a value that is not shown"
    if isinstance(value, str):
        return "text" if schema.expects_container(node.path) else quoted(value)
    return json.dumps(value)


def _container(value: dict[str, Node] | list[Node], path: Path) -> str:
    if isinstance(value, list):
        return f"a list of {counted(len(value), 'entry')}"
    names = ", ".join(map(quoted, itertools.islice(value, _NAMES_SHOWN))) + (", …" if len(value) > _NAMES_SHOWN else "")
    return "a mapping" if schema.is_secret(path) else f"a mapping with {names or 'nothing in it'}"
