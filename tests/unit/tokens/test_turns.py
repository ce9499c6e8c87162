from typing import Any

import pytest

from gateway.tokens.turns import oldest, turns

CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "assistant", "content": "Welcome."},
    {"role": "user", "content": "one"},
    {"role": "assistant", "tool_calls": [{"id": "a"}]},
    {"role": "tool", "tool_call_id": "a"},
    {"role": "assistant", "content": "1"},
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "two"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "three"},
    {"role": "assistant", "tool_calls": [{"id": "b"}]},
    {"role": "tool", "tool_call_id": "b"},
]
TOKENS = dict.fromkeys(range(len(CONVERSATION)), 10)


def test_a_turn_keeps_a_call_and_its_result_together() -> None:
    assert turns(CONVERSATION) == [[1], [2, 3, 4, 5], [7, 8]]


@pytest.mark.parametrize(
    ("excess", "dropped"),
    [(1, [1]), (10, [1]), (11, [1, 2, 3, 4, 5]), (50, [1, 2, 3, 4, 5]), (51, [1, 2, 3, 4, 5, 7, 8]), (71, None)],
)
def test_the_fewest_oldest_turns_go(excess: int, dropped: list[int] | None) -> None:
    assert oldest(CONVERSATION, TOKENS, excess) == dropped


def test_a_single_turn_is_never_dropped() -> None:
    assert oldest([{"role": "user", "content": "long"}], {0: 100}, 1) is None


def test_responses_items_make_turns_too() -> None:
    items = [{"role": "user"}, {"type": "reasoning"}, {"type": "function_call"}, {"role": "user"}]
    assert turns(items) == [[0, 1, 2]]
