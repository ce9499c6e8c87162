import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.wire import json_bytes
from gateway.wire.repeats import refuse_repeats

READ = ("model", "messages", "tools")


def check(body: bytes) -> None:
    refuse_repeats(body, json_bytes.loads(body), READ)


@pytest.mark.parametrize(
    ("body", "param", "key"),
    [
        (b'{"model":"a","model":"b"}', "model", "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model", "model"),
        (b'{"model":"a","x":1,"model":"a"}', "model", "model"),
        (b'{"model":"a","x":"\\u0022\\\\u0022","model":"a"}', "model", "model"),
        (b'{"messages":[{"role":"user","content":"short","content":"long"}]}', "messages", "content"),
        (b'{"messages":[{"role":"user","content":[{"type":"text","text":"a","t\\u0065xt":"b"}]}]}', "messages", "text"),
        (b'{"tools":[{"function":{"parameters":{"properties":{"a":{},"a":{}}}}}]}', "tools", "a"),
        (b'{"messages":[{"role":"user","content":"\\ud800","content":"b"}]}', "messages", "content"),
    ],
)
def test_a_key_we_read_that_stands_twice_is_refused(body: bytes, param: str, key: str) -> None:
    with pytest.raises(BadRequest, match=f"'{key}' stands more than once") as caught:
        check(body)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"model":"a"}',
        b'{"model":"model"}',
        b'{"model":"a","t":{"model":1}}',
        b'{"x":1,"x":2,"model":"a"}',
        b'{"x":{"a":1,"a":2},"model":"a"}',
        b'{"messages":[{"role":"user"},{"role":"user"}]}',
        b'{ "model" : "say \\u0022hi\\u0022 and \\\\u0022" }',
        b'{"messages":[{"content":"\\ud800"}]}',
        b'{"messages":' + b"[" * 300 + b"]" * 300 + b"}",
    ],
)
def test_everything_else_passes(body: bytes) -> None:
    check(body)


def test_nesting_that_only_the_first_parser_bears_is_refused_as_such() -> None:
    with pytest.raises(BadRequest, match="nested too deeply"):
        check(b'{"messages":' + b"[" * 1020 + b"]" * 1020 + b"}")


def test_where_it_stands_is_not_looked_for_in_a_large_body() -> None:
    padding = b"x" * 100_000
    with pytest.raises(BadRequest, match="in one object of the request body"):
        check(b'{"model":"a","x":{"a":1,"a":2},"messages":"%s"}' % padding)
    check(b'{"model":"a","x":{"a":1,"b":2},"messages":"%s \\ud800"}' % padding)


texts = st.text(st.characters(), max_size=6) | st.sampled_from(['"', "\\", "\\u0022", "\ud800", ""])
values = st.recursive(
    texts | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(values, st.sampled_from([(",", ":"), (" , ", ": ")]))
def test_a_body_without_repeats_is_never_refused(value: Any, separators: tuple[str, str]) -> None:
    check(json.dumps({"model": "a", "messages": value}, separators=separators).encode())
    check(json_bytes.dumps({"messages": value}))


@given(values, texts, texts, st.booleans())
def test_a_repeat_at_any_depth_is_always_refused(value: Any, key: str, other: str, is_first: bool) -> None:
    pair = f"{json.dumps(key)}:1,{json.dumps(key)}:{json.dumps(other)}"
    inner = f"[{json.dumps(value)},{{{pair}}}]" if is_first else f"[{{{pair}}},{json.dumps(value)}]"
    with pytest.raises(BadRequest):
        check(f'{{"model":"a","messages":{inner}}}'.encode())
