"""The small checks that OpenAI's parameter errors come from, with its wording and codes.

A rule takes a parameter's name and value and raises an ApiError, or returns. Absent and null
parameters are not looked at, unless they are required.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.simulator.errors import ApiError

Rule = Callable[[str, Any], None]


def name_of(value: object) -> str:
    """What OpenAI calls the type of `value`."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array" if value else "an empty array"
    return "an object"


def wrong_type(name: str, expected: str, value: object) -> ApiError:
    message = f"Invalid type for '{name}': expected {expected}, but got {name_of(value)} instead."
    return ApiError(message, param=name, code="invalid_type")


def wrong_value(name: str, value: object, supported: tuple[str, ...]) -> ApiError:
    *most, last = (f"'{word}'" for word in supported)
    message = f"Invalid value: '{value}'. Supported values are: {', '.join(most)}, and {last}."
    return ApiError(message, param=name, code="invalid_value")


def missing(name: str) -> ApiError:
    return ApiError(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def boolean(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise wrong_type(name, "a boolean", value)


def text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)


def mapping(name: str, value: object) -> None:
    if not isinstance(value, dict):
        raise wrong_type(name, "an object", value)


def integer(low: int, high: int | None = None) -> Rule:
    def check(name: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(name, "an integer", value)
        _within(name, value, low, high, "integer")

    return check


def decimal(low: float, high: float) -> Rule:
    def check(name: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a decimal", value)
        _within(name, value, low, high, "decimal")

    return check


def _within(name: str, value: float, low: float, high: float | None, kind: str) -> None:
    if value < low:
        bound, sign, code = low, ">=", "below_min_value"
    elif high is not None and value > high:
        bound, sign, code = high, "<=", "above_max_value"
    else:
        return
    side = "below minimum" if sign == ">=" else "above maximum"
    message = f"Invalid '{name}': {kind} {side} value. Expected a value {sign} {bound}, but got {value} instead."
    raise ApiError(message, param=name, code=f"{kind}_{code}")


def one_of(*supported: str) -> Rule:
    def check(name: str, value: object) -> None:
        if value not in supported:
            raise wrong_value(name, value, supported)

    return check


def text_or_texts(most: int) -> Rule:
    """A string, or an array of at most `most` strings: `stop`."""

    def check(name: str, value: object) -> None:
        if isinstance(value, str):
            return
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise wrong_type(name, "a string or an array of strings", value)
        if len(value) > most:
            message = f"Invalid '{name}': array too long. Expected an array with maximum length {most}, "
            raise ApiError(message + f"but got {len(value)} instead.", param=name, code="array_above_max_length")

    return check


def items(each: Rule, *, least: int = 0) -> Rule:
    """An array of at least `least` (0 or 1) items, each of which `each` accepts."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, list):
            raise wrong_type(name, "an array of objects", value)
        if len(value) < least:
            message = f"Invalid '{name}': empty array. Expected an array with minimum length {least}, "
            raise ApiError(message + "but got an empty array instead.", param=name, code="empty_array")
        for index, item in enumerate(value):
            each(f"{name}[{index}]", item)

    return check


def apply(rules: Mapping[str, Rule], fields: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> None:
    """All `rules` over `fields`. Fields without a rule pass: new ones appear every month."""
    for name in required:
        if fields.get(name) is None:
            raise missing(name)
    for name, rule in rules.items():
        if fields.get(name) is not None:
            rule(name, fields[name])
