import base64
import json
from array import array
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.values import Request, Usage
from gateway.wire.embeddings import Embeddings

EMBEDDINGS = Embeddings()
USAGE = {"prompt_tokens": 5, "total_tokens": 5}


def parse(**fields: Any) -> Request:
    document = {"model": "text-embedding-3-small", "input": "hello", **fields}
    return EMBEDDINGS.parse(orjson.dumps(document), document)


@pytest.mark.parametrize("given_", ["hello", "", ["a", "b"], [15339, 1917], [[15339], [1917, 2]], ["a", [1]]])
def test_every_form_of_input_is_read(given_: Any) -> None:
    request = parse(input=given_, encoding_format="base64", dimensions=256, stream=True)
    assert request.model == "text-embedding-3-small"
    assert (request.is_stream, request.completion_caps, request.choices) == (False, {}, 1)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": {}}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", 3]}, "input[1]"),
        ({"input": [1, "a"]}, "input[0]"),
        ({"input": [True]}, "input[0]"),
        ({"input": [[1, "a"]]}, "input[0]"),
        ({"input": [None]}, "input[0]"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param
    assert param in caught.value.message


def test_the_query_is_the_last_text() -> None:
    assert EMBEDDINGS.question(parse(input="one")).text == "one"
    assert EMBEDDINGS.question(parse(input=["one", "two"])).text == "two"
    assert EMBEDDINGS.question(parse(input=[1, 2])).text == ""


def test_nothing_is_changed_on_the_way() -> None:
    assert EMBEDDINGS.outgoing_edits(parse(), completion_field="max_tokens", stream_usage=True) == {}


def answer(*vectors: object, **more: object) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": USAGE, **more}


@pytest.mark.parametrize(
    "document",
    [
        answer([0.5, -1.0]),
        answer(base64.b64encode(array("f", [0.5]).tobytes()).decode()),
        answer([0.5], timings=[1, 2]),
        {"timings": [1], **answer([0.5])},
        {"usage": USAGE, "data": [{"embedding": [1]}]},
        {"timings": [{"usage": {"prompt_tokens": 9}}], "data": [{"embedding": [1], "usage": 3}], "usage": USAGE},
    ],
)
def test_usage_is_read_past_the_vectors_wherever_it_stands(document: dict[str, Any]) -> None:
    read = EMBEDDINGS.read(json.dumps(document, indent=1).encode())
    assert read is not None
    assert EMBEDDINGS.usage(read) == Usage(input=5, output=0)
    assert EMBEDDINGS.is_finished(read)
    assert EMBEDDINGS.generated_text([read]) == ""


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[],"usage":{},"x":[1]}',
        b'{"data":[],"usage":{"prompt_tokens":5}}',
        b'{"data":[ ],"usage":{}}',
        b"{}",
        b'{"x":[1],"usage":{}}',
    ],
)
def test_an_answer_without_vectors_is_not_finished(body: bytes) -> None:
    read = EMBEDDINGS.read(body)
    assert read is not None
    assert not EMBEDDINGS.is_finished(read)


@pytest.mark.parametrize("body", [b"", b"[1]", b"<html>[]</html>", b'{"data":[1'])
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert EMBEDDINGS.read(body) is None


members = st.dictionaries(
    st.sampled_from(["data", "usage", "x", "model"]),
    st.recursive(st.integers() | st.sampled_from(["a", "]", "[", '"usage":{}']), lambda inner: st.lists(inner) | inner)
    | st.just(USAGE),
)


@given(members)
def test_reading_past_the_vectors_sees_what_reading_all_sees(document: dict[str, Any]) -> None:
    read = EMBEDDINGS.read(json.dumps(document).encode())
    assert read is not None
    assert EMBEDDINGS.usage(read) == EMBEDDINGS.usage(document)
    if isinstance(document.get("data"), list):
        assert EMBEDDINGS.is_finished(read) == EMBEDDINGS.is_finished(document)
