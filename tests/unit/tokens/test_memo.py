from gateway.tokens.memo import Memo


def test_a_count_is_remembered() -> None:
    memo: Memo[int] = Memo()
    memo.put("hello", 1)
    assert memo.get("hello") == 1
    assert memo.get("world") is None


def test_long_strings_are_remembered_but_not_kept() -> None:
    memo: Memo[int] = Memo(max_bytes=2_000)
    memo.put("x" * 100_000, 12_500)
    assert memo.get("x" * 100_000) == 12_500
    assert memo.get("x" * 99_999) is None


def test_entries_are_bounded() -> None:
    memo: Memo[int] = Memo(max_entries=100)
    for number in range(1000):
        memo.put(str(number), 1)
    assert len(memo) <= 100
    assert memo.get("999") == 1
    assert memo.get("0") is None


def test_bytes_are_bounded() -> None:
    memo: Memo[int] = Memo(max_bytes=10_000)
    for number in range(1000):
        memo.put(f"{number:0>300}", 100)
    assert len(memo) <= 10_000 // 450


def test_what_is_asked_for_outlives_what_is_not() -> None:
    memo: Memo[int] = Memo(max_entries=100)
    memo.put("system prompt", 3)
    memo.put("seldom", 1)
    for number in range(1000):
        memo.put(str(number), 1)
        assert memo.get("system prompt") == 3
    assert memo.get("seldom") is None


def test_lone_surrogates_can_be_remembered() -> None:
    memo: Memo[int] = Memo()
    memo.put("\ud800" * 1000, 1000)
    assert memo.get("\ud800" * 1000) == 1000
