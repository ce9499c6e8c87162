from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import MAX_DEPTH, Document, plain_value, read
from gateway.config.tree import as_json, remove, walk


def told(document: Document) -> list[str]:
    return [problem.told("f") for problem in document.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("8080", 8080),
        ("-1", -1),
        ("007", 7),
        ("0x1F", 31),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("9" * 5000, "9" * 5000),
        ("٣", "٣"),
    ],
)
def test_plain_values_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    assert plain_value(text) == value
    assert type(plain_value(text)) is type(value)


def test_every_value_knows_its_place_and_the_line_of_its_key() -> None:
    document = read("a:\n  b:\n    - 1\n    - c: x\n")
    assert [(node.path, node.line) for node in walk(document.root)] == [
        ((), 1),
        (("a",), 1),
        (("a", "b"), 2),
        (("a", "b", 0), 3),
        (("a", "b", 1), 4),
        (("a", "b", 1, "c"), 4),
    ]


def test_an_empty_text_is_an_empty_mapping() -> None:
    assert as_json(read("# nothing but a comment\n").root) == {}


def test_a_list_at_the_top_is_refused() -> None:
    assert told(read("- a\n")) == ["f:1: expected `key: value` lines at the top (`upstreams:`, …), got something else"]


def test_the_second_of_two_equal_keys_is_a_problem_at_its_line() -> None:
    document = read("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert told(document) == ["f:4: b.c: expected the key once, got it again (first on line 3)"]


def test_a_second_document_is_refused() -> None:
    assert told(read("a: 1\n---\nb: 2\n")) == ["f:2: expected one document, got a second one after '---'"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n  1: x\n", "f:2: a: expected text as a key, got 1 (put it in quotes)"),
        ("a:\n  true: x\n", "f:2: a: expected text as a key, got true (put it in quotes)"),
        ("a:\n  ?\n  : x\n", "f:2: a: expected text as a key, got nothing (put it in quotes)"),
        ("a:\n  ? [b]\n  : x\n", "f:2: a: expected text as a key, got something else"),
    ],
)
def test_keys_are_text(text: str, said: str) -> None:
    assert told(read(text)) == [said]


def test_a_tag_is_refused_and_its_value_lost() -> None:
    document = read("a: !!python/object:os.system x\nb: !!str 5\n")
    assert told(document) == ["f:1: a: YAML tags are not supported here"]
    assert document.lost == [("a",)]


def test_an_alias_is_a_copy_at_its_own_place() -> None:
    document = read("a: &x {b: 1}\nc: *x\n")
    assert as_json(document.root) == {"a": {"b": "1"}, "c": {"b": "1"}}
    assert [node.path for node in walk(document.root)] == [(), ("a",), ("a", "b"), ("c",), ("c", "b")]


def test_a_merge_key_brings_in_what_is_not_given() -> None:
    document = read("a: &x {b: '1', c: '2'}\nd: {<<: *x, c: '3'}\n")
    assert as_json(document.root)["d"] == {"b": "1", "c": "3"}


def test_the_first_of_several_merged_mappings_wins() -> None:
    document = read("a: &x {k: '1'}\nb: &y {k: '2', l: '3'}\nc: {<<: [*x, *y]}\n")
    assert as_json(document.root)["c"] == {"k": "1", "l": "3"}


@pytest.mark.parametrize("text", ["a: *nobody\n", "a: &a [*a]\n"])
def test_an_alias_without_a_complete_anchor_is_refused(text: str) -> None:
    (problem,) = read(text).problems
    assert problem.text == "expected the alias to name an anchor further up (`&name`), got an unknown one"


def test_a_text_cannot_grow_without_bound_by_aliases() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert any("expected at most 100,000 values" in line for line in told(read("\n".join(lines))))


@pytest.mark.parametrize("text", ["a: " + "[" * 50_000, "a: " + "[" * 900 + "]" * 900, "? " * 900])
def test_deep_nesting_is_refused_without_recursing(text: str) -> None:
    assert any(f"expected at most {MAX_DEPTH} levels" in line or "expected YAML" in line for line in told(read(text)))


def test_a_slip_in_one_section_hides_nothing_in_the_others() -> None:
    document = read("a: 'never closed\nb: {c: 1\nd: 2\ne: 3\ne: 4\n")
    assert as_json(document.root) == {"d": "2", "e": "3"}
    assert told(document) == [
        "f:1: a: expected YAML: found unexpected end of stream while scanning a quoted scalar that began on line 1",
        "f:3: b: expected YAML: did not find expected ',' or '}' while parsing a flow mapping that began on line 2",
        "f:5: e: expected the key once, got it again (first on line 4)",
    ]


def test_what_yaml_says_of_a_slip_never_quotes_the_text() -> None:
    for text in ("key: !hunter2!x y\n", "key: *hunter2\n", "key: {hunter2\n", "key: @hunter2\n", "key: %hunter2\n"):
        assert "hunter2" not in str(told(read(text)))


def test_a_control_character_is_told_with_its_line() -> None:
    assert told(read("a: 1\nb:\n  c: \x00\n")) == ["f:3: b: expected YAML, got a control character"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: {key: ${NAME}}\n", {"key": "${NAME}"}),
        ("a: {key: ${NAME:-}, b: c}\n", {"key": "${NAME:-}", "b": "c"}),
        ("a: [${X:-a,b}, ${file:/run/x}]\n", ["${X:-a,b}", "${file:/run/x}"]),
        ("a: ${X:-a: b #c}\n", "${X:-a: b #c}"),
        ("a: $${X}\n", "$${X}"),
    ],
)
def test_references_may_stand_unquoted_in_flow_style(text: str, value: object) -> None:
    document = read(text)
    assert told(document) == []
    assert as_json(document.root)["a"] == value


def test_removing_a_plain_member_removes_its_list() -> None:
    document = read("a: {b: [x, y]}\n")
    assert remove(document.root, ("a", "b", 1)) == ("a", "b")
    assert as_json(document.root) == {"a": {}}


def test_removing_an_item_leaves_the_others_their_places() -> None:
    document = read("a: [{b: x}, {b: y}]\n")
    assert remove(document.root, ("a", 0)) == ("a", 0)
    assert remove(document.root, ("a", 0)) is None
    assert [node.path for node in walk(document.root)] == [(), ("a",), ("a", 1), ("a", 1, "b")]


signs = list("ab:-?,[]{}#&*!|>'\"%@`~<\n\t \\$")
words = ["\n  ", ": ", "- ", "&a ", "*a ", "<<: ", "---\n", "${A}"]
pieces = st.sampled_from(signs + words)


@given(st.one_of(st.lists(pieces, max_size=60).map("".join), st.text(max_size=60)))
def test_no_text_makes_reading_raise(text: str) -> None:
    document = read(text)
    json: Any = as_json(document.root)
    assert isinstance(json, dict)
