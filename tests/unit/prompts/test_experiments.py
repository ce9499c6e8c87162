"""Arms by hash: shares within their binomial bounds, the same answer for ever, and as few callers moved as can be."""

import math
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.prompts.experiments import StickyBy, choose, random_arm, sticky_key
from gateway.prompts.version import Arm

KEYS = [f"user-{number}" for number in range(20_000)]
SPLIT = (Arm(7, 90), Arm(8, 10))


def shares(arms: Sequence[Arm], salt: str = "pmpt_1/production") -> Counter[int]:
    return Counter(choose(arms, key, salt) for key in KEYS)


def within(count: int, share: float, of: int) -> bool:
    """Inside of four standard deviations: one run of 16,000 would be outside by chance, and a hash has no runs."""
    return abs(count - share * of) <= 4 * math.sqrt(of * share * (1 - share))


@pytest.mark.parametrize(
    "arms",
    [
        SPLIT,
        (Arm(1, 1), Arm(2, 1)),
        (Arm(1, 999), Arm(2, 1)),
        (Arm(1, 5), Arm(2, 3), Arm(3, 2), Arm(4, 10)),
    ],
)
def test_every_arm_has_its_share_of_twenty_thousand(arms: Sequence[Arm]) -> None:
    counts, total = shares(arms), sum(arm.weight for arm in arms)
    assert all(within(counts[arm.number], arm.weight / total, len(KEYS)) for arm in arms), counts


def test_the_choice_is_the_same_in_every_process() -> None:
    here = [choose(SPLIT, key, "salt") for key in KEYS[:200]]
    script = (
        "from gateway.prompts.experiments import choose; from gateway.prompts.version import Arm;"
        "print([choose((Arm(7, 90), Arm(8, 10)), f'user-{n}', 'salt') for n in range(200)])"
    )
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(here)


def test_the_choice_is_the_same_in_every_version_of_the_gateway() -> None:
    """Another hash would move users of experiments that run during an upgrade."""
    assert [choose((Arm(1, 1), Arm(2, 1)), key, "pmpt_1/production") for key in KEYS[:16]] == PINNED


def test_the_order_of_the_arms_makes_no_difference() -> None:
    assert shares(SPLIT) == shares(SPLIT[::-1])


def test_more_weight_moves_callers_to_that_arm_alone() -> None:
    before = {key: choose((Arm(1, 90), Arm(2, 10)), key, "s") for key in KEYS}
    after = {key: choose((Arm(1, 90), Arm(2, 20)), key, "s") for key in KEYS}
    moved = Counter((before[key], after[key]) for key in KEYS if before[key] != after[key])
    assert set(moved) == {(1, 2)}
    assert within(moved[1, 2], 20 / 110 - 10 / 100, len(KEYS)), "no more of them than its share grew by"


def test_an_arm_that_ends_moves_its_own_callers_alone() -> None:
    three, two = (Arm(1, 1), Arm(2, 1), Arm(3, 1)), (Arm(1, 1), Arm(3, 1))
    assert {choose(three, key, "s") for key in KEYS if choose(three, key, "s") != choose(two, key, "s")} == {2}


def test_another_experiment_deals_anew() -> None:
    both = [key for key in KEYS if choose(SPLIT, key, "one") == 8 == choose(SPLIT, key, "two")]
    assert within(len(both), 0.01, len(KEYS))


def test_who_is_nobody_gets_an_arm_by_chance() -> None:
    chance = random.Random(1).random
    counts = Counter(choose(SPLIT, None, "s", chance) for _ in KEYS)
    assert within(counts[8], 0.1, len(KEYS))


@pytest.mark.parametrize(("drawn", "arm"), [(0.0, 7), (0.8999, 7), (0.9001, 8), (1 - 2**-53, 8)])
def test_chance_covers_all_arms(drawn: float, arm: int) -> None:
    assert random_arm(SPLIT, drawn) == arm


def test_one_arm_needs_no_draw() -> None:
    assert choose((Arm(3, 1),), None, "s", lambda: 1 / 0) == 3


# ------------------------------------------------------------------ who asks

FIRST = {"role": "user", "content": "hello"}
LATER = [{"role": "system", "content": "be kind"}, FIRST, {"role": "assistant", "content": "hi"}]


@pytest.mark.parametrize(
    ("by", "fields", "same"),
    [
        ("user", {"user": "ann"}, {"user": "ann", "input": "another question"}),
        ("user", {"safety_identifier": "ann", "user": "x"}, {"safety_identifier": "ann", "user": "y"}),
        ("user", {"user": "ann", "conversation": "conv_1"}, {"user": "ann", "conversation": "conv_2"}),
        ("user", {"conversation": "conv_1", "input": "a"}, {"conversation": {"id": "conv_1"}, "input": "b"}),
        ("conversation", {"conversation": "conv_1", "user": "ann"}, {"conversation": "conv_1", "user": "bob"}),
        ("conversation", {"messages": [FIRST]}, {"messages": [*LATER, {"role": "user", "content": "and now?"}]}),
        ("conversation", {"input": "hello"}, {"input": [FIRST]}),
        ("conversation", {"input": "hello"}, {"input": [{"role": "user", "content": [{"text": "hello"}]}]}),
        ("conversation", {"previous_response_id": "a", "user": "ann"}, {"previous_response_id": "b", "user": "ann"}),
    ],
)
def test_the_same_one_is_known_again(by: StickyBy, fields: dict[str, Any], same: dict[str, Any]) -> None:
    assert sticky_key(fields, by, "bot") == sticky_key(same, by, "bot") is not None


@pytest.mark.parametrize(
    ("by", "fields", "other"),
    [
        ("user", {"user": "ann"}, {"user": "bob"}),
        ("conversation", {"input": "hello", "user": "ann"}, {"input": "hello", "user": "bob"}),
        ("conversation", {"conversation": "x"}, {"input": "x"}),
        ("conversation", {"messages": [FIRST]}, {"messages": [{"role": "user", "content": "hello!"}]}),
    ],
)
def test_others_are_others(by: StickyBy, fields: dict[str, Any], other: dict[str, Any]) -> None:
    assert sticky_key(fields, by, "bot") != sticky_key(other, by, "bot")


def test_the_same_words_from_two_applications_are_two_conversations() -> None:
    assert sticky_key({"input": "hello"}, "conversation", "a") != sticky_key({"input": "hello"}, "conversation", "b")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user": "", "input": None},
        {"user": 3, "conversation": {"id": 4}, "messages": [None, 1, {"role": "user", "content": [None]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"previous_response_id": "resp_1", "input": "and then?"},
        {"prompt_cache_key": "all-of-us"},
    ],
)
@pytest.mark.parametrize("by", ["user", "conversation"])
def test_where_nothing_tells_nobody_is_made_up(by: StickyBy, fields: dict[str, Any]) -> None:
    assert sticky_key(fields, by, "bot") is None


PINNED = [2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 2, 1, 2, 1]
