from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.prompts.files import FileProblem, read_file, write_file

SUPPORT = """\
---
name: support-bot
model: gpt-5-mini
variables:
  question:
    untrusted: true
  shop:
    default: Acme
parameters:
  temperature: 0.2
token_budget: 2000
notes: |-
  Shorter greeting.
  Asks for the order's number.
---
=== system ===
You help customers of {{ shop }}.

=== user ===
{{ question }}
"""


def test_a_file_is_a_document() -> None:
    file = read_file(SUPPORT)
    assert file.document == PromptDocument(
        name="support-bot",
        model="gpt-5-mini",
        messages=(
            Message(role="system", content="You help customers of {{ shop }}."),
            Message(role="user", content="{{ question }}"),
        ),
        variables={"question": Variable(untrusted=True), "shop": Variable(default="Acme")},
        parameters={"temperature": 0.2},
        token_budget=2000,
        notes="Shorter greeting.\nAsks for the order's number.",
    )
    assert file.lines == (17, 20)
    assert write_file(file.document) == SUPPORT
    assert read_file(SUPPORT.replace("\n", "\r\n")).document == file.document


@pytest.mark.parametrize(
    ("body", "contents"),
    [
        ("=== user ===\na\n", ["a"]),
        ("\n\n=== user ===\na", ["a"]),
        ("=== user ===\n", [""]),
        ("=== user ===\n\n\n", [""]),
        ("=== user ===\n\na\n\n\nb\n\n", ["\na\n\n\nb"]),
        ("=== user ===\na\n\\\n", ["a\n"]),
        ("=== user ===\na\n\n\\\n\n", ["a\n\n"]),
        ("=== user ===\n\\\\\n", ["\\"]),
        ("=== user ===\n\\=== user ===\n=== Results ===\n# user\n", ["=== user ===\n=== Results ===\n# user"]),
        ("=== user ===\n\\\\=== user ===\n\\a\n", ["\\=== user ===\n\\a"]),
        ("=== user ===\na\n=== user ===\nb\n", ["a", "b"]),
        ("=== user ===\na \n---\n", ["a \n---"]),
    ],
)
def test_messages_stand_as_they_are(body: str, contents: list[str]) -> None:
    document = read_file(f"---\nname: x\n---\n{body}").document
    assert [message.content for message in document.messages] == contents
    assert read_file(write_file(document)).document == document


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [(1, "expected YAML between two lines of `---`, and then the messages")]),
        ("name: x\n", [(1, "expected YAML between two lines of `---`, and then the messages")]),
        ("---\nname: x\n---\nHello\n", [(4, "expected a line such as `=== system ===` before the first message")]),
        ("---\nname: x\n---\n", [(4, "expected a line such as `=== system ===` before the first message")]),
        ("---\nmodel: [\n---\n=== user ===\na\n", None),
        ("---\nname: x\nname: y\n---\n=== user ===\n", [(3, "expected the key once, got it again (first on line 2)")]),
        ("---\nname: x\nmesages: 1\n---\n=== user ===\n", [(3, "mesages: unknown key")]),
        ("---\nname: x\nmessages: []\n---\n=== user ===\n", [(3, "messages stand below the YAML, not in it")]),
        ("---\nname: x\nvariables:\n  a:\n    type: txt\n---\n=== user ===\n", None),
    ],
)
def test_a_problem_has_its_line(text: str, problems: list[tuple[int, str]] | None) -> None:
    with pytest.raises(FileProblem) as wrong:
        read_file(text)
    if problems is None:
        assert [line > 1 for line, _ in wrong.value.problems] == [True]
    else:
        assert wrong.value.problems == problems


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LINES = st.lists(st.sampled_from(["a", "", "\\", "\\\\", "=== user ===", "\\=== user ===", "---", " "]), max_size=6)
CONTENT = TEXT | LINES.map("\n".join)
WORDS = TEXT | st.sampled_from(["1e3", "0o17", "yes", "null", "~", "12:30", "${A}", "<b>", "a: b", "- x", "a\nb\n"])
KEYS = WORDS.filter(lambda key: key != "<<")
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(
    contents=st.lists(CONTENT, min_size=1, max_size=4),
    default=JSON,
    parameters=st.dictionaries(KEYS, JSON, max_size=3),
    notes=WORDS,
)
def test_what_is_written_is_read_back(
    contents: list[str], default: Any, parameters: dict[str, Any], notes: str
) -> None:
    document = PromptDocument(
        name="x",
        messages=tuple(Message(role="user", content=content) for content in contents),
        variables={"a": Variable(default=default)},
        parameters=parameters,
        notes=notes,
    )
    assert read_file(write_file(document)).document.as_json() == document.as_json()
