"""The values that a caller gives for a version's variables: checked against what is declared, and made data.

Clients of OpenAI's can send texts, images and files alone, so a number, a boolean, a list or an object may also come as
the text of its JSON.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.errors import BadRequest
from gateway.prompts.data import Attachment, to_json, untrusted
from gateway.prompts.document import PromptDocument, Variable
from gateway.wire import json_bytes

_URLS = ("https://", "http://", "data:")
_ATTACHED = {
    "image": ("input_image", ("image_url", "file_id")),
    "file": ("input_file", ("file_id", "file_data", "file_url")),
}
"""Type of a variable → what its object is called, and the keys of which it needs one."""
_MOST_NAMED = 20


def checked(document: PromptDocument, given: object) -> dict[str, Any]:
    """What `given`, the request's `prompt.variables`, comes to; BadRequest names the one that is wrong."""
    if not isinstance(given, dict | None):
        raise BadRequest("'prompt.variables' must be an object.", param="prompt.variables", code="invalid_type")
    given = given or {}
    declared = document.variables
    unknown = [name for name in given if name not in declared]
    if unknown:
        known = ", ".join(list(declared)[:_MOST_NAMED]) or "none"
        raise _wrong(
            unknown[0], f"it is not a variable of prompt '{document.name}', which has: {known}.", "unknown_parameter"
        )
    values: dict[str, Any] = {}
    for name, variable in declared.items():
        found = given.get(name)
        if found is None:
            if variable.is_required:
                what = (
                    "an image"
                    if variable.type == "image"
                    else f"a {variable.type}"
                    if variable.type != "object"
                    else "an object"
                )
                raise _wrong(name, f"prompt '{document.name}' needs it: {what}.", "missing_required_parameter")
            found = variable.default
        try:
            values[name] = _read(name, variable, found)
        except RecursionError:
            raise _wrong(name, "it is nested too deeply.", "invalid_value") from None
    return values


def _read(name: str, variable: Variable, given: Any) -> Any:
    """One value as data."""
    if variable.type in _ATTACHED:
        return Attachment(name, _attached(name, variable, given))
    if isinstance(given, dict) and given.get("type") == "input_text" and isinstance(given.get("text"), str):
        given = given["text"]
    if variable.type == "text":
        if not isinstance(given, str):
            raise _wrong_type(name, variable, given)
        size = len(given)
    else:
        given = _typed(name, variable, given)
        size = len(to_json(given))
    _check_size(name, variable, size)
    return untrusted(given) if variable.untrusted else given


_IS: Mapping[str, Callable[[Any], bool]] = {
    "number": lambda given: isinstance(given, int | float) and not isinstance(given, bool),
    "boolean": lambda given: isinstance(given, bool),
    "list": lambda given: isinstance(given, list),
    "object": lambda given: isinstance(given, dict),
}


def _typed(name: str, variable: Variable, given: Any) -> Any:
    fits = _IS[variable.type]
    found = given
    if isinstance(given, str):
        _check_size(name, variable, len(given))
        try:
            found = json_bytes.loads(given.encode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            found = given
    if not fits(found):
        raise _wrong_type(name, variable, given)
    return found


def _check_size(name: str, variable: Variable, chars: int) -> None:
    if chars > variable.max_chars:
        message = f"it has {chars:,} characters, and {variable.max_chars:,} are allowed."
        raise _wrong(name, message, "string_above_max_length")


def _attached(name: str, variable: Variable, given: Any) -> Mapping[str, Any]:
    """OpenAI's object for an image or a file; an address alone is one as well."""
    kind, sources = _ATTACHED[variable.type]
    if isinstance(given, str) and given.startswith(_URLS):
        if kind == "input_image":
            return {"type": kind, "image_url": given}
        return {"type": kind, "file_data" if given.startswith("data:") else "file_url": given}
    if not isinstance(given, dict) or given.get("type") != kind:
        raise _wrong_type(name, variable, given)
    if not any(isinstance(given.get(source), str) for source in sources):
        raise _wrong(name, f"an '{kind}' object needs one of {', '.join(sources)}.", "missing_required_parameter")
    return given


def _wrong_type(name: str, variable: Variable, given: Any) -> BadRequest:
    wanted = {
        "image": "an object of type 'input_image', or the address of an image",
        "file": "an object of type 'input_file', or the address of a file",
        "text": "a string, or an object of type 'input_text'",
        "object": "an object",
    }.get(variable.type, f"a {variable.type}")
    names = {bool: "a boolean", int: "a number", float: "a number", list: "an array", str: "a string"}
    got = "an object of another type" if isinstance(given, dict) else names.get(type(given), "null")
    return _wrong(name, f"it must be {wanted}, not {got}.", "invalid_type")


def _wrong(name: str, message: str, code: str) -> BadRequest:
    shown = name if len(name) <= 64 and name.isidentifier() else "…"
    return BadRequest(f"'prompt.variables.{shown}': {message}", param=f"prompt.variables.{shown}", code=code)
