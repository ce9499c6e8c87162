import pytest

from gateway.wire.json_bytes import objects_in


def test_objects_are_read_together() -> None:
    assert objects_in([b'{"a":1}', b"{}"]) == [{"a": 1}, {}]


@pytest.mark.parametrize(
    "texts",
    [
        [b'{"a":1},{"b":2}'],
        [b'{"a":1', b'"b":2}'],
        [b"{}", b"1"],
        [b"{}", b""],
        [b"[", b"]"],
        [b'{"a":"\\ud83d"}'],
    ],
)
def test_texts_that_are_not_one_object_each_are_left_to_be_read_one_by_one(texts: list[bytes]) -> None:
    assert objects_in(texts) is None
