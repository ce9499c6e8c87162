import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.splice import members, splice

ODD = b'{ "a" : 1.0 , "model":"x\\"y", "t": {"model": [1, {"b": "}"}]}, "n":1e2,"z":"\\ud800" }'


def parsed(body: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(body)
    return fields


def test_only_the_edited_value_changes() -> None:
    assert splice(ODD, parsed(ODD), {"model": "gpt"}) == ODD.replace(b'"x\\"y"', b'"gpt"')


def test_an_absent_field_is_appended() -> None:
    body = b'{"model": "a"}\n'
    assert splice(body, parsed(body), {"max_tokens": 5}) == b'{"model": "a","max_tokens":5}\n'


def test_several_edits_at_once() -> None:
    body = b'{"n":1,"stream_options":{"x":[1,2]},"model":"a"}'
    edits = {"model": "b", "stream_options": {"include_usage": True}, "n": 2, "new": None}
    assert splice(body, parsed(body), edits) == (
        b'{"n":2,"stream_options":{"include_usage":true},"model":"b","new":null}'
    )


def test_a_nested_field_of_the_same_name_is_left_alone() -> None:
    body = b'{"tools":[{"model":"inner"}],"model":"outer"}'
    assert splice(body, parsed(body), {"model": "new"}) == b'{"tools":[{"model":"inner"}],"model":"new"}'


def test_a_field_spelled_with_escapes_is_found() -> None:
    body = b'{"x":{"model":1},"mod\\u0065l":"a"}'
    assert splice(body, parsed(body), {"model": "b"}) == b'{"x":{"model":1},"mod\\u0065l":"b"}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["model", "stream", "a", 'q"', "\\", "é", ""]) | st.text(max_size=4)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")])


@given(
    st.dictionaries(keys, json_values, min_size=1, max_size=6), st.dictionaries(keys, json_values, max_size=4), spacing
)
def test_splicing_equals_updating(fields: dict[str, Any], edits: dict[str, Any], separators: tuple[str, str]) -> None:
    body = json.dumps(fields, separators=separators).encode()
    assert json.loads(splice(body, fields, edits)) == {**fields, **json.loads(json.dumps(edits))}


@given(st.dictionaries(keys, json_values, max_size=6), spacing, st.booleans())
def test_members_are_found_where_they_stand(
    fields: dict[str, Any], separators: tuple[str, str], is_ascii: bool
) -> None:
    body = json.dumps(fields, separators=separators, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    found = members(body)
    assert [member.key for member in found] == list(fields)
    assert [json.loads(body[member.start : member.end]) for member in found] == list(fields.values())


def test_a_value_may_be_raw_json() -> None:
    body = b'{"messages":[1],"model":"a"}'
    edited = splice(body, parsed(body), {"messages": orjson.Fragment(b"[1.0, 2]")})
    assert edited == b'{"messages":[1.0, 2],"model":"a"}'
