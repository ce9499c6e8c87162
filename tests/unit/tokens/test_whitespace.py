import time

import pytest

from gateway.tokens.whitespace import trimmed


@pytest.mark.parametrize(
    ("text", "trailing", "everything"),
    [
        ("plain", "plain", "plain"),
        ("a  \nb\t\r\nc \n\n", "a\nb\r\nc", "a\nb\r\nc"),
        ("a\n\n\n\nb", "a\n\n\n\nb", "a\n\nb"),
        ("a   b\tc", "a   b\tc", "a b\tc"),
        ("- one\n    - two", "- one\n    - two", "- one\n    - two"),
        ('say "a   b"  now', 'say "a   b"  now', 'say "a   b" now'),
        ('{\n  "a": "x  y",\n  "b": [1, 2]\n}\n', '{\n  "a": "x  y",\n  "b": [1, 2]\n}', '{"a":"x  y","b":[1,2]}'),
        ("x  \n```py\na =  1  \n\n\n\nb\n```\ny   z", "x\n```py\na =  1  \n\n\n\nb\n```\ny   z", None),
        ("```\nnever closed  \n\n\n", "```\nnever closed", None),
    ],
)
def test_only_what_says_nothing_goes(text: str, trailing: str, everything: str | None) -> None:
    assert trimmed(text, "trailing") == trailing
    assert trimmed(text, "all") == (everything if everything is not None else trailing.replace("y   z", "y z"))


@pytest.mark.parametrize("unit", [" ", "\n", " \n", '"', '\\"', "```\n", '" ', "a  ", "{", "\t\r\n"])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.process_time()
    trimmed(text, "all")
    assert time.process_time() - start < 5  # a quadratic pattern takes minutes


def test_quotes_that_never_end_do_not_take_for_ever() -> None:
    assert trimmed('"\\' * 100_000, "all") == '"\\' * 100_000
    assert trimmed('"a\\\n"b   c', "all") == '"a\\\n"b   c'
