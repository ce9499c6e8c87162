import json

import pytest

from gateway.tokens.waste import Fragment, Text, blanks, cost_of, fragments, repeats, texts_of
from gateway.values import Request

BLOCK = (
    "The invoice of March has not been paid. It has to be paid by Friday, says Anna of accounts.\n"
    "The customer's number is 12345 and nobody knows the address. Call them on Monday at nine, if they are "
    "there. Nobody else has asked for it."
)


def words(text: str) -> int:
    """A stand-in for an encoder: a token for each word, and for each blank that no word takes in front of it."""
    return len(text.split()) + max(0, sum(c.isspace() for c in text) - len(text.split()))


def found(text: str) -> list[tuple[str, str, str]]:
    """Kind, text and replacement."""
    return [(one.kind, text[one.start : one.end], one.instead) for one in blanks(Text("m", text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("honest prose.\n\nTwo paragraphs.", []),
        ("one  \ntwo\t\r\nthree", [("trailing", "  ", ""), ("trailing", "\t", "")]),
        ("the end \n\n", [("trailing", " \n\n", "")]),
        ("a\n\n\n\nb", [("runs", "\n\n\n\n", "\n\n")]),
        ("a   b", [("runs", "   ", " ")]),
        ('say "a   b" now', []),
        ("  - indented\n    - twice", []),
        ("```\ncode   \n\n\n\nmore\n```\nprose", []),
    ],
)
def test_blanks_that_trimming_would_remove(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize("frame", ["%s", "Order:\n%s\nDone.", "```json\n%s\n```"])
def test_json_without_its_layout_wherever_it_stands(frame: str) -> None:
    document = {"name": "Anna  Maria", "items": [1, 2.50, {"a": None}]}
    pretty = json.dumps(document, indent=4)
    (one,) = found(frame % pretty)
    assert one == ("json", pretty, '{"name":"Anna  Maria","items":[1,2.5,{"a":null}]}')


def test_what_only_looks_like_json_is_left_alone() -> None:
    assert found("{\n  this is a set of lines\n  and no JSON at all\n}\n") == [("trailing", "\n", "")]
    assert found("[\n" * 20_000) == [("trailing", "\n", "")]


@pytest.mark.parametrize("between", ["", "\n", " \n", "\n\nContext:\n"])
def test_a_block_that_stands_twice_is_found_once(between: str) -> None:
    text = f"Read this.\n{BLOCK}{between}\n{BLOCK}\nWhat is to be done?"
    (one,) = repeats([Text("messages[1]", text)])
    assert (one.kind, one.label) == ("repeat", "messages[1]")
    assert text[one.start : one.end].strip() == BLOCK
    assert one.start > len(BLOCK)


def test_a_block_is_found_in_another_message() -> None:
    texts = [Text("messages[0]", BLOCK), Text("messages[1]", f"{BLOCK}\nAnd now?")]
    assert list(repeats(texts)) == [Fragment("repeat", "messages[1]", 0, len(BLOCK) + 1)]


def test_short_and_similar_things_are_no_blocks() -> None:
    rows = "\n".join(f"| {n} | the same words in every row | yes |" for n in range(40))
    assert list(repeats([Text("m", rows), Text("n", "Thank you very much for it. " * 3)])) == []


def test_blanks_within_a_repeated_block_are_counted_with_it() -> None:
    spaced = BLOCK.replace("paid by", "paid   by")
    kinds = [one.kind for one in fragments([Text("m", f"{spaced}\n{spaced}")])]
    assert kinds == ["repeat", "runs"]


def test_a_fragment_costs_what_its_removal_saves() -> None:
    text = "say    yes"
    (one,) = blanks(Text("m", text))
    assert cost_of(text, one, words) == words("say    yes") - words("say yes") == 2


@pytest.mark.parametrize(
    ("endpoint", "fields", "labels"),
    [
        (
            "chat",
            {"messages": [{"content": "a"}, {"content": [{"text": "b"}, {"image_url": {}}, {"text": "c"}]}, {}]},
            ["messages[0]", "messages[1].content[0]", "messages[1].content[2]"],
        ),
        ("completions", {"prompt": ["a", "b"], "suffix": "c"}, ["prompt[0]", "prompt[1]", "suffix"]),
        ("embeddings", {"input": "a"}, ["input"]),
        ("embeddings", {"input": [1, 2]}, []),
        ("responses", {"input": "a", "instructions": "b"}, ["instructions", "input"]),
        (
            "responses",
            {"input": [{"content": "a"}, {"output": "b"}, {"content": [{"text": "c"}]}]},
            ["input[0]", "input[1]", "input[2].content[0]"],
        ),
    ],
)
def test_texts_are_labelled_by_where_they_stand(endpoint: str, fields: dict[str, object], labels: list[str]) -> None:
    assert [text.label for text in texts_of(Request(endpoint, b"", fields, "m"))] == labels
