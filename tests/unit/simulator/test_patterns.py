import random
import re

import pytest

from gateway.simulator.patterns import UnsupportedPattern, sample


@pytest.mark.parametrize(
    "pattern",
    [
        "abc",
        r"^\d{3}-\d{4}$",
        r"^[A-Z]{2}\d+$",
        r"(cat|dog)s?",
        r"^(?:\+?\d{1,3}[ -])?\(\d{3}\) \d{3}-\d{4}$",
        r"^#[0-9a-fA-F]{6}$",
        r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
        r"^(?P<year>\d{4})-(?<month>0[1-9]|1[0-2])$",
        r"\x41\u0042[\x43-\u0045]",
        r"^[\w.-]+$",
        r"^[]x]+$",
        r"a{2}b{1,}c*?d+?",
        r"^$",
        "",
        r"[a\-z]",
        r"^-?(0|[1-9]\d*)(\.\d+)?$",
    ],
)
def test_every_sample_matches_its_pattern(pattern: str) -> None:
    portable = pattern.replace("?<month>", "?P<month>")
    for seed in range(50):
        text = sample(pattern, random.Random(seed))
        assert re.search(portable, text), text


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(?=a)b", "look-around and flags"),
        (r"(?<!a)b", "look-around and flags"),
        (r"(a)\1", r"'\1' in an escape"),
        (r"\bword", r"'\b' in an escape"),
        (r"a^b", "'^' in this place"),
        (r"(a", "a group that is never closed"),
        (r"a)", "a ')' that closes nothing"),
        (r"[a", "a pattern that breaks off"),
        (r"[z-a]", "such a range"),
        (r"a{,}", "braces that hold no numbers"),
        (r"a{3,2}", "a quantifier whose end is before its start"),
        (r"(a{999}){999}", "more than 10,000 characters"),
        (r"((){9999}){9999}", "more than 10,000 characters"),
        ("(" * 60 + ")" * 60, "groups nested so deep"),
    ],
)
def test_what_cannot_be_sampled_is_refused_with_its_reason(pattern: str, reason: str) -> None:
    with pytest.raises(UnsupportedPattern, match=re.escape(reason)):
        sample(pattern, random.Random(0))
