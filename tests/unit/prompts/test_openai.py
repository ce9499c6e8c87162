import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.prompts.openai import NotImportable, as_template, from_json, from_text
from gateway.prompts.render import compile_document

PROMPT = {
    "id": "pmpt_68a9",
    "object": "prompt",
    "name": "Support bot",
    "version": "3",
    "model": "gpt-5-mini",
    "messages": [
        {"role": "developer", "content": [{"type": "input_text", "text": "You work for {{company}}."}]},
        {"role": "user", "content": 'Answer {{ question }} as {"a": {"b": 1}}.'},
    ],
    "temperature": 0.5,
    "text": {"format": {"type": "text"}},
    "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5-mini",
    "instructions": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Greet Ann Lee of Acme."}]}
    ],
    "prompt": {
        "id": "pmpt_1",
        "version": "2",
        "variables": {"name": {"type": "input_text", "text": "Ann Lee"}, "photo": {"type": "input_image"}},
    },
    "reasoning": {"effort": "low"},
}


def test_a_prompt_is_taken_over() -> None:
    (found,) = from_json(PROMPT)
    assert (found.id, found.version, found.doubts) == ("pmpt_68a9", 3, ())
    assert found.document == PromptDocument(
        name="Support-bot",
        model="gpt-5-mini",
        messages=(
            Message(role="developer", content="You work for {{ company }}."),
            Message(role="user", content='Answer {{ question }} as {"a": {"b": 1}}.'),
        ),
        variables={"company": Variable(), "question": Variable()},
        parameters={"temperature": 0.5},
        tools=({"type": "function", "name": "look", "parameters": {"type": "object"}},),
    )


def test_a_response_is_taken_over_with_its_values_taken_out() -> None:
    (found,) = from_json(RESPONSE)
    assert (found.id, found.version, found.document.name) == ("pmpt_1", 2, "pmpt_1")
    assert found.document.messages == (Message(role="developer", content="Greet {{ name }} of Acme."),)
    assert found.document.variables == {"name": Variable(), "photo": Variable(type="image")}
    assert found.document.parameters == {"reasoning": {"effort": "low"}}
    assert len(found.doubts) == 2


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ([PROMPT, RESPONSE], 2),
        ({"object": "list", "data": [PROMPT]}, 1),
        ({"id": "pmpt_1", "name": "a", "versions": [{"version": "1", "instructions": "x"}, {"instructions": "y"}]}, 2),
        ({"prompt": {"id": "pmpt_1", "instructions": "x"}}, 1),
        ({"model": "gpt-5", "input": "Hello", "text": {}}, 1),
    ],
)
def test_other_forms_are_known(given: Any, count: int) -> None:
    assert len(from_json(given)) == count


@pytest.mark.parametrize("given", [{}, [], {"id": "pmpt_1"}, "x", {"messages": [{"role": "wizard"}]}, None])
def test_what_is_none_is_said_to_be_none(given: Any) -> None:
    with pytest.raises(NotImportable):
        from_json(given)


def test_text_is_a_message_or_several() -> None:
    one = from_text("  Be {{mood}}.\n", name="my bot")
    assert (one.document.name, one.document.messages) == (
        "my-bot",
        (Message(role="developer", content="Be {{ mood }}."),),
    )
    several = from_text("System:\nBe kind.\n\n## User\nHi {{name}}\n", name="bot").document
    assert [(message.role, message.content) for message in several.messages] == [
        ("system", "Be kind."),
        ("user", "Hi {{ name }}"),
    ]


@given(st.text(st.sampled_from("{}%#' ax\n") | st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_template_says_what_the_text_said(text: str) -> None:
    source, names = as_template(text)
    document = PromptDocument(name="x", messages=(Message(role="user", content=source),), whitespace="warn")
    values = {name: "{{" + name + "}}" for name in names}
    (message,) = compile_document(document).render(values)
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert message.text == as_written(plain, names)


def as_written(text: str, names: list[str]) -> str:
    return re.sub(r"\{\{\s*(" + "|".join([*names, "(?!)"]) + r")\s*\}\}", lambda m: "{{" + m[1] + "}}", text)


def test_images_and_files_are_variables_where_the_caller_gives_them() -> None:
    content = [
        {"type": "input_text", "text": "Look at "},
        {"type": "input_image", "image_url": "{{photo}}"},
        {"type": "input_file", "file_id": "file-1"},
    ]
    (found,) = from_json({"name": "look", "messages": [{"role": "user", "content": content}]})
    assert found.document.messages[0].content == "Look at {{ photo }}"
    assert found.document.variables == {"photo": Variable(type="image")}
    assert found.doubts == ("a message has one file that is always the same, which was left out: make it a variable",)
