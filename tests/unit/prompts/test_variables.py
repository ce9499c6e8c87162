from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.prompts.data import Attachment
from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.prompts.variables import checked

IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"}
FILE = {"type": "input_file", "file_id": "file-1"}
DOCUMENT = PromptDocument(
    name="support",
    messages=(Message(role="user", content="{{ name }}"),),
    variables={
        "name": Variable(max_chars=5),
        "age": Variable(type="number", default=3),
        "on": Variable(type="boolean", default=False),
        "tags": Variable(type="list", default=[], max_chars=20),
        "person": Variable(type="object", default={}),
        "photo": Variable(type="image", default="https://example.com/b.png"),
        "paper": Variable(type="file", default="data:application/pdf;base64,QQ=="),
    },
)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("name", "Ann", "Ann"),
        ("name", {"type": "input_text", "text": "Ann"}, "Ann"),
        ("age", 4.5, 4.5),
        ("age", "4", 4),
        ("on", "true", True),
        ("tags", ["a"], ["a"]),
        ("tags", '["a"]', ["a"]),
        ("person", {"a": 1}, {"a": 1}),
        ("person", '{"a": 1}', {"a": 1}),
        ("photo", IMAGE, Attachment("photo", IMAGE)),
        ("photo", "https://x/y", Attachment("photo", {"type": "input_image", "image_url": "https://x/y"})),
        ("paper", FILE, Attachment("paper", FILE)),
        ("paper", "https://x/y", Attachment("paper", {"type": "input_file", "file_url": "https://x/y"})),
    ],
)
def test_a_value_becomes_data(name: str, given: Any, value: Any) -> None:
    assert checked(DOCUMENT, {"name": "x", name: given})[name] == value


def test_defaults_hold_where_nothing_is_given() -> None:
    values = checked(DOCUMENT, {"name": "x", "age": None})
    assert (values["age"], values["on"], values["tags"], values["person"]) == (3, False, [], {})
    assert values["paper"].part == {"type": "input_file", "file_data": "data:application/pdf;base64,QQ=="}


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({}, "name", "missing_required_parameter"),
        (None, "name", "missing_required_parameter"),
        ({"name": "x", "nam": "y"}, "nam", "unknown_parameter"),
        ({"name": 5}, "name", "invalid_type"),
        ({"name": IMAGE}, "name", "invalid_type"),
        ({"name": "canary"}, "name", "string_above_max_length"),
        ({"name": "x", "age": "canary"}, "age", "invalid_type"),
        ({"name": "x", "age": True}, "age", "invalid_type"),
        ({"name": "x", "on": "canary"}, "on", "invalid_type"),
        ({"name": "x", "tags": {"a": 1}}, "tags", "invalid_type"),
        ({"name": "x", "tags": ["canary" * 5]}, "tags", "string_above_max_length"),
        ({"name": "x", "tags": '["' + "canary" * 5 + '"]'}, "tags", "string_above_max_length"),
        ({"name": "x", "person": [1]}, "person", "invalid_type"),
        ({"name": "x", "photo": "canary"}, "photo", "invalid_type"),
        ({"name": "x", "photo": FILE}, "photo", "invalid_type"),
        ({"name": "x", "photo": {"type": "input_image"}}, "photo", "missing_required_parameter"),
        ({"name": "x", "paper": IMAGE}, "paper", "invalid_type"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(given: Any, param: str, code: str) -> None:
    with pytest.raises(BadRequest) as wrong:
        checked(DOCUMENT, given)
    assert (wrong.value.param, wrong.value.code) == (f"prompt.variables.{param}", code)
    assert param in wrong.value.message
    assert "canary" not in wrong.value.message


def test_variables_are_an_object() -> None:
    with pytest.raises(BadRequest, match="must be an object"):
        checked(DOCUMENT, ["x"])


def test_a_value_nested_without_end_is_refused() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    document = PromptDocument(
        name="x",
        messages=(Message(role="user", content="{{ xs }}"),),
        variables={"xs": Variable(type="list", untrusted=True)},
    )
    with pytest.raises(BadRequest, match="nested too deeply"):
        checked(document, {"xs": deep})
