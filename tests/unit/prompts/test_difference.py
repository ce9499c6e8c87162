"""Two versions as lines: what is the same, what went and what came, in bounded time."""

import json
import time

from gateway.prompts.difference import difference, lines_of
from gateway.prompts.document import PromptDocument


def document(*texts: str, **fields: object) -> PromptDocument:
    roles = ("system", "user")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return PromptDocument.model_validate_json(json.dumps({"name": "bot", "messages": messages, **fields}))


def told(before: PromptDocument, after: PromptDocument) -> list[str]:
    signs = {"same": " ", "removed": "-", "added": "+"}
    return [signs[line.kind] + line.text for line in difference(before, after)]


def test_a_version_reads_as_its_fields_and_its_messages() -> None:
    found = document("Be brief.\nBe kind.", "{{ question }}", model="gpt-5-mini", variables={"question": {}})
    assert lines_of(found) == [
        'variables: {"question":{}}',
        'model: "gpt-5-mini"',
        "[system]",
        "Be brief.",
        "Be kind.",
        "[user]",
        "{{ question }}",
    ]


def test_what_changed_stands_between_what_did_not() -> None:
    before, after = document("a\nb\nc", "x", model="m"), document("a\nB\nc\nd", "x")
    assert told(before, after) == ['-model: "m"', " [system]", " a", "-b", "+B", " c", "+d", " [user]", " x"]


def test_either_version_can_be_read_out_of_both() -> None:
    before, after = document("a\nb\na\nb\nc", "q"), document("b\na\nc\nc", "q", "z")
    lines = difference(before, after)
    assert [line.text for line in lines if line.kind != "added"] == lines_of(before)
    assert [line.text for line in lines if line.kind != "removed"] == lines_of(after)


def test_the_same_twice_is_what_it_says() -> None:
    assert {line.kind for line in difference(document("a"), document("a"))} == {"same"}


def test_long_versions_are_told_quickly() -> None:
    before, after = (document("\n".join(f"{n % 7} {salt}" for n in range(200_000))) for salt in ("x", "y"))
    began = time.process_time()
    assert len(difference(before, after)) == 400_001
    assert time.process_time() - began < 5
