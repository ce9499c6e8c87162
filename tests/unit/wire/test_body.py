import pytest

from gateway.errors import BadRequest
from gateway.wire.body import parse_object


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "must be a JSON object, not an array"),
        (b"null", "not null"),
        (b"3", "not a number"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": NaN, "b": "\\ud800"}', "NaN is not a JSON value"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "nested too deeply"),
        (b'{"a":"\\ud800","b":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "nested too deeply"),
        (b'{"a": "\\u0041}', "not valid JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        parse_object(body, max_nodes=500_000)


def test_too_many_nodes_are_refused_before_parsing() -> None:
    with pytest.raises(BadRequest, match="holds 1,003 brackets, commas and colons; this gateway accepts 1,000"):
        parse_object(b'{"a":[' + b"," * 1000, max_nodes=1000)


def test_a_member_of_an_object_counts_twice_for_it_takes_twice_as_long() -> None:
    assert parse_object(b'{"a":1,"b":[1,2]}', max_nodes=6) == {"a": 1, "b": [1, 2]}
    with pytest.raises(BadRequest):
        parse_object(b'{"a":1,"b":[1,2]}', max_nodes=5)


def test_half_a_surrogate_pair_is_read_where_that_takes_no_time() -> None:
    for size, is_read in ((1 << 20, True), (3 << 20, False)):
        body = b'{"a":"\\ud800' + b"x" * size + b'"}'
        if is_read:
            assert len(parse_object(body, max_nodes=10)["a"]) == size + 1
        else:
            with pytest.raises(BadRequest, match="surrogate"):
                parse_object(body, max_nodes=10)


def test_a_lone_surrogate_is_accepted_as_openai_does() -> None:
    assert parse_object(b'{"a":"\\ud800"}', max_nodes=10) == {"a": "\ud800"}
