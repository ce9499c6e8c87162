import random
import re
from datetime import date, datetime, time
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from gateway.simulator.json_values import JsonValues, NoInstance

PROMPT = "Plan a weekend in Lisbon for Maria, with two dinners and a museum."


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    value: int
    left: "Node | None"
    right: "Node | None"


class Tree(BaseModel):
    name: str
    children: list["Tree"]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: set[Annotated[str, Field(pattern=r"^[a-z]{3,5}$")]]


class Everything(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    colour: Colour
    code: Annotated[str, Field(min_length=5, max_length=8)]
    long: Annotated[str, Field(min_length=200)]
    share: Annotated[float, Field(gt=0, lt=1)]
    tiny: Annotated[float, Field(gt=0.001, lt=0.002)]
    even: Annotated[int, Field(multiple_of=2, ge=3)]
    negative: Annotated[int, Field(lt=0)]
    exactly: Annotated[list[bool], Field(min_length=4, max_length=4)]
    pair: tuple[int, str]
    ages: dict[str, int]
    day: date
    moment: datetime
    hour: time
    id: UUID
    v4: IPv4Address
    v6: IPv6Address
    price: Annotated[str, Field(pattern=r"^\d+\.\d{2}$")]
    either: int | str
    nothing: None
    anything: Any
    note: str | None = None


@pytest.mark.parametrize("kind", [Everything, Node, Tree, list[int], dict[str, Cat], Literal["a", "b"]])
def test_every_instance_validates(kind: Any) -> None:
    adapter = TypeAdapter(kind)
    for seed in range(40):
        made = JsonValues(adapter.json_schema(), PROMPT, random.Random(seed), is_labelled=bool(seed % 2)).make()
        adapter.validate_python(made, strict=False)


def test_the_same_seed_makes_the_same_instance() -> None:
    schema = TypeAdapter(Everything).json_schema()
    first, second = (JsonValues(schema, PROMPT, random.Random(7)).make() for _ in range(2))
    assert first == second


def test_arguments_are_taken_from_the_prompt() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "email": {"type": "string"}}}
    made = JsonValues(schema, "What is the weather in Lisbon today?", random.Random(1)).make()
    assert made["city"] == "Lisbon"
    assert made["email"].endswith("@example.com")


def test_free_text_is_labelled_where_a_user_would_read_it() -> None:
    made = JsonValues({"type": "string"}, PROMPT, random.Random(1), is_labelled=True).make()
    assert made.startswith("[simulated] ")


def test_references_defaults_and_merged_rules() -> None:
    schema = {
        "$defs": {"base": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}},
        "allOf": [{"$ref": "#/$defs/base"}, {"properties": {"b": {"const": 2}}, "required": ["b"]}],
        "required": ["c"],
        "additionalProperties": {"const": 3},
    }
    assert JsonValues(schema, PROMPT, random.Random(1)).make() == {"a": 1, "b": 2, "c": 3}


def test_a_branch_that_cannot_be_satisfied_is_passed_over() -> None:
    schema = {"anyOf": [{"type": "string", "pattern": "(?=x)y"}, {"type": "integer", "minimum": 5, "maximum": 5}]}
    assert {JsonValues(schema, PROMPT, random.Random(seed)).make() for seed in range(10)} == {5}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "#"}, "nests without end"),
        ({"$ref": "#/$defs/Missing"}, "'#/$defs/Missing' points at nothing"),
        ({"$ref": "https://example.com/schema"}, "is not inside it"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "nests without end"),
        ({"type": "array", "minItems": 10_000_000}, "more than 5,000 values"),
        ({"type": "array", "items": {"enum": [1, 2]}, "minItems": 3, "uniqueItems": True}, "more different items"),
        ({"type": "string", "minLength": 10, "maxLength": 5}, "no string has at least 10"),
        ({"type": "string", "minLength": 1_000_000_000}, "no string has at least"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no number of the wanted kind"),
        ({"type": "object", "required": ["x"], "additionalProperties": False}, "does not allow"),
        ({"type": "text"}, "'text' is not a type"),
        ({"type": "array", "minItems": "two"}, "of the wrong type"),
        ({"anyOf": [False]}, "part of it is not an object"),
        ("string", "part of it is not an object"),
    ],
)
def test_a_schema_without_an_instance_is_refused_with_the_reason(schema: object, reason: str) -> None:
    with pytest.raises(NoInstance, match=re.escape(reason)):
        JsonValues(schema, PROMPT, random.Random(3)).make()
