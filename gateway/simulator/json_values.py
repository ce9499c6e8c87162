"""JSON that validates against a JSON schema: arguments of tool calls, and answers in JSON mode.

What OpenAI's structured outputs allow is covered, and what pydantic and zod write; `not`, `if`,
`patternProperties` and `dependent*` are not looked at.
"""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.simulator import patterns, prose

MAX_VALUES = 5_000
"""Values in one instance, at any depth."""

_TERSE_DEPTH = 5
"""From this depth on only what is required is made: recursive schemas end there."""

_MAX_DEPTH = 40
_MAX_CHARS = 100_000
_WEIGHT = {"null": 0, "boolean": 1, "integer": 1, "number": 1, "string": 1, "array": 2, "object": 3}
_EPOCH = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)

Schema = Mapping[str, Any]


class NoInstance(ValueError):
    """No value within reach validates; says why, as the end of a sentence about the schema."""


class JsonValues:
    """Makes instances of parts of one schema, `root`, from the words of `prompt`.

    With `is_labelled`, free strings begin with the simulator's label; arguments of tools are left
    plain, because a tool would act on them.
    """

    def __init__(self, root: object, prompt: str, rng: random.Random, *, is_labelled: bool = False) -> None:
        self._root = root
        self._rng = rng
        self._is_labelled = is_labelled
        self._words = prose.keywords(prompt)
        self._names = prose.names(prompt)
        self._sentences = prose.sentences(prompt, rng)
        self._made = 0

    def make(self) -> Any:
        """One instance of the whole schema, or NoInstance."""
        try:
            return self._value(self._root, "", 0)
        except NoInstance:
            raise
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            raise NoInstance(f"part of it is of the wrong type ({error})") from None

    def _value(self, schema: object, name: str, depth: int) -> Any:
        self._made += 1
        if self._made > MAX_VALUES or depth > _MAX_DEPTH:
            raise NoInstance(f"it asks for more than {MAX_VALUES:,} values, or nests without end")
        rules = self._resolved(schema, depth)
        if "const" in rules:
            return rules["const"]
        if rules.get("enum"):
            return self._rng.choice(rules["enum"])
        for group in ("anyOf", "oneOf"):
            if rules.get(group):
                return self._alternative(rules, group, name, depth)
        return self._typed(_type_of(rules, is_terse=depth >= _TERSE_DEPTH), rules, name, depth)

    def _typed(self, kind: str, rules: Schema, name: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(rules, depth)
            case "array":
                return self._array(rules, name, depth)
            case "string":
                return self._string(rules, name)
            case "integer" | "number":
                return self._number(rules, is_integer=kind == "integer")
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
        raise NoInstance(f"'{kind}' is not a type")

    # -------------------------------------------------- composition

    def _resolved(self, schema: object, depth: int) -> Schema:
        """`schema` with its references followed and its `allOf` folded in."""
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise NoInstance("part of it is not an object")
        if depth > _MAX_DEPTH:
            raise NoInstance("it nests without end")
        if isinstance(schema.get("$ref"), str):
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return _merged(rest, self._resolved(self._at(schema["$ref"]), depth + 1))
        rules: Schema = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema.get("allOf") or ():
            rules = _merged(rules, self._resolved(part, depth + 1))
        return rules

    def _at(self, pointer: str) -> object:
        """What a local reference (`#`, `#/$defs/Name`) points at."""
        place: Any = self._root
        if not pointer.startswith("#"):
            raise NoInstance(f"'{pointer}' is not inside it")
        for step in filter(None, pointer[1:].split("/")):
            key = step.replace("~1", "/").replace("~0", "~")
            try:
                place = place[int(key)] if isinstance(place, list) else place[key]
            except (KeyError, IndexError, TypeError, ValueError):
                raise NoInstance(f"'{pointer}' points at nothing") from None
        return place

    def _alternative(self, rules: Schema, group: str, name: str, depth: int) -> Any:
        """By one of the branches of `anyOf` or `oneOf`; the next one where a branch cannot be satisfied."""
        rest = {key: value for key, value in rules.items() if key != group}
        failure = NoInstance(f"'{group}' holds no alternative")
        for branch in self._in_order_of_liking(rules[group], depth):
            try:
                return self._value(_merged(rest, branch), name, depth + 1)
            except NoInstance as error:
                failure = error
        raise failure

    def _in_order_of_liking(self, branches: list[object], depth: int) -> list[Schema]:
        """Those that hold a value first, in any order; in the depths the smallest first."""
        rules = [self._resolved(branch, depth + 1) for branch in branches]
        if depth >= _TERSE_DEPTH:
            return sorted(rules, key=_weight)
        return sorted(self._rng.sample(rules, len(rules)), key=lambda branch: branch.get("type") == "null")

    # -------------------------------------------------- containers

    def _object(self, rules: Schema, depth: int) -> dict[str, Any]:
        properties: Mapping[str, object] = rules.get("properties") or {}
        required = rules.get("required") or ()
        made: dict[str, Any] = {}
        for key, schema in properties.items():
            if key in required or depth < _TERSE_DEPTH:
                made[key] = self._value(schema, key, depth + 1)
        for key in required:
            if key not in made:
                made[key] = self._value(_additional(rules), key, depth + 1)
        self._fill(made, rules, depth)
        return made

    def _fill(self, made: dict[str, Any], rules: Schema, depth: int) -> None:
        """Free keys, where a map is described rather than a record, or `minProperties` wants more."""
        is_map = not rules.get("properties") and isinstance(rules.get("additionalProperties"), Mapping)
        wanted = max(rules.get("minProperties", 0), 2 if is_map and depth < _TERSE_DEPTH else 0)
        wanted = min(wanted, rules.get("maxProperties", wanted))
        for number in range(len(made), wanted):
            word = self._words[number % len(self._words)].replace(" ", "_")
            key = word if word not in made else f"{word}_{number}"
            made[key] = self._value(_additional(rules), key, depth + 1)

    def _array(self, rules: Schema, name: str, depth: int) -> list[Any]:
        low = rules.get("minItems", 0)
        most = rules.get("maxItems", max(low, 3))
        count = low if depth >= _TERSE_DEPTH else max(low, min(most, self._rng.randint(1, 3)))
        prefix = rules.get("prefixItems") or ()
        rest = rules.get("items", True)
        if rest is False:
            count = min(count, len(prefix))
        singular = name.removesuffix("s")
        made = [self._value(schema, singular, depth + 1) for schema in prefix[:most]]
        tries = 0
        while len(made) < count:
            item = self._value(rest, singular, depth + 1)
            tries += 1
            if not rules.get("uniqueItems") or item not in made:
                made.append(item)
            elif tries > 20 * count:
                if len(made) >= low:
                    break
                raise NoInstance("it asks for more different items than could be found")
        return made

    # -------------------------------------------------- scalars

    def _number(self, rules: Schema, *, is_integer: bool) -> int | float:
        step = rules.get("multipleOf") or (1 if is_integer else 0.01)
        low = max(rules.get("minimum", -1e15), rules.get("exclusiveMinimum", -1e15))
        high = min(rules.get("maximum", 1e15), rules.get("exclusiveMaximum", 1e15))
        if low == -1e15:
            low = min(1, high - 99 * step)
        high = min(high, low + max(99, 99 * step))
        first, last = -(-low // step), high // step
        if first * step == rules.get("exclusiveMinimum"):
            first += 1
        if last * step == rules.get("exclusiveMaximum"):
            last -= 1
        if first > last:
            return self._number_between(low, high, rules, is_integer=is_integer)
        value = self._rng.randint(int(first), int(last)) * step
        return int(value) if is_integer else round(value, 10)

    def _number_between(self, low: float, high: float, rules: Schema, *, is_integer: bool) -> float:
        """The middle, where hundredths are too coarse."""
        if is_integer or "multipleOf" in rules or low > high:
            raise NoInstance(f"no number of the wanted kind lies between {low:g} and {high:g}")
        return (low + high) / 2

    def _string(self, rules: Schema, name: str) -> str:
        low, high = rules.get("minLength", 0), rules.get("maxLength", _MAX_CHARS)
        if low > min(high, _MAX_CHARS):
            raise NoInstance(f"no string has at least {low} and at most {min(high, _MAX_CHARS)} characters")
        if "pattern" in rules:
            return self._patterned(rules["pattern"], low, high)
        if made := self._formatted(rules.get("format")):
            return made
        text = self._free_text(name)
        while len(text) < low:
            text += " " + next(self._sentences)
        return text[:high]

    def _patterned(self, pattern: str, low: int, high: int) -> str:
        try:
            tries = (patterns.sample(pattern, self._rng) for _ in range(50))
            text = next((text for text in tries if low <= len(text) <= high), None)
        except patterns.UnsupportedPattern as error:
            raise NoInstance(str(error)) from None
        if text is None:
            raise NoInstance(f"no text of {low} to {high} characters was found for pattern '{pattern}'")
        return text

    def _formatted(self, form: object) -> str | None:
        moment = _EPOCH + timedelta(minutes=self._rng.randint(0, 500_000))
        match form:
            case "date-time":
                return moment.isoformat().replace("+00:00", "Z")
            case "date":
                return moment.date().isoformat()
            case "time":
                return moment.time().isoformat() + "Z"
            case "duration":
                return f"PT{self._rng.randint(5, 90)}M"
            case "email":
                return f"{self._rng.choice(('ada', 'grace', 'linus'))}@example.com"
            case "hostname":
                return "www.example.com"
            case "ipv4":
                return f"192.0.2.{self._rng.randint(1, 254)}"
            case "ipv6":
                return f"2001:db8::{self._rng.randint(1, 9999):x}"
            case "uri" | "url":
                return f"https://example.com/{self._words[0].replace(' ', '-')}"
            case "uuid":
                return str(UUID(int=self._rng.getrandbits(128), version=4))
        return None

    def _free_text(self, name: str) -> str:
        hint = name.lower()
        if any(word in hint for word in ("city", "location", "place", "country", "town")):
            return self._rng.choice(self._names or ["Paris"])
        if hint in {"name", "person", "author", "customer", "user"}:
            return self._rng.choice(self._names or ["Ada Lovelace"])
        if "date" in hint or hint == "day":
            return str(self._formatted("date"))
        if "email" in hint:
            return str(self._formatted("email"))
        if hint in {"url", "uri", "link"}:
            return str(self._formatted("uri"))
        if self._is_labelled:
            return f"{prose.LABEL} {next(self._sentences)}"
        return " ".join(self._words[:4]) if hint in {"query", "q", "search", "text", "question"} else self._a_word()

    def _a_word(self) -> str:
        return self._rng.choice(self._words)


def _additional(rules: Schema) -> object:
    schema = rules.get("additionalProperties", True)
    if schema is False:
        raise NoInstance("it requires properties that it does not allow")
    return {"type": "string"} if schema is True else schema


def _merged(left: Schema, right: Schema) -> Schema:
    """Both sets of rules at once; of two rules with one name the second counts, but for what adds up."""
    both = {**left, **right}
    if "properties" in left and "properties" in right:
        both["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        both["required"] = [*left["required"], *right["required"]]
    return both


def _type_of(rules: Schema, *, is_terse: bool) -> str:
    declared = rules.get("type")
    if isinstance(declared, list) and declared:
        kinds = [kind for kind in declared if isinstance(kind, str)]
        pick = min if is_terse else max
        return pick(kinds, key=lambda kind: _WEIGHT.get(kind, 9))
    if isinstance(declared, str):
        return declared
    if "properties" in rules or "additionalProperties" in rules:
        return "object"
    if "items" in rules or "prefixItems" in rules:
        return "array"
    return "integer" if "minimum" in rules or "maximum" in rules else "string"


def _weight(rules: Schema) -> int:
    """How much is likely to hang on a branch: scalars before containers, then the fewest properties."""
    kind = _type_of(rules, is_terse=True)
    return _WEIGHT.get(kind, 9) * 100 + len(rules.get("required") or ()) + 50 * bool(rules.get("anyOf"))
