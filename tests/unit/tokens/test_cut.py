import pytest

from gateway.tokens.cut import CHUNK_CHARS, RUN_CHARS, pieces

PROSE = "The quick brown fox jumps over the lazy dog, twice. "


def test_short_text_is_left_whole() -> None:
    assert pieces("a" * RUN_CHARS) == (["a" * RUN_CHARS], True)


def test_honest_text_up_to_a_chunk_is_left_whole() -> None:
    text = PROSE * (CHUNK_CHARS // len(PROSE))
    assert pieces(text) == ([text], True)


@pytest.mark.parametrize(
    "unit", [PROSE, "词语很多\uff0c句子很长\u3002", "line one\nline two\n", "naïve café — déjà vu; "]
)
def test_long_text_is_cut_exactly_and_in_bounds(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    found, is_exact = pieces(text)
    assert is_exact
    assert "".join(found) == text
    assert max(map(len, found)) <= CHUNK_CHARS


@pytest.mark.parametrize(
    "unit", ["a", "aB", " ", "\n", "!", "/\n", "-+", "a\u0301", "\u0301", "\u3000", "\U0001f600", "字", "\ud800"]
)
def test_long_runs_are_cut_and_no_longer_exact(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    found, is_exact = pieces(text)
    assert not is_exact
    assert "".join(found) == text
    assert max(map(len, found)) <= RUN_CHARS


def test_a_run_inside_prose_is_found_wherever_it_starts() -> None:
    for offset in range(0, 1200, 37):
        found, is_exact = pieces(PROSE * 20 + "x" * offset + " " + "Y" * (RUN_CHARS + 1) + " " + PROSE * 20)
        assert not is_exact
        assert all(piece.count("Y") <= RUN_CHARS for piece in found)


def test_base64_is_no_run() -> None:
    text = "iVBORw0KGgoAAAANSUhEUgAA9oAAAHnCAYAAADG4" * 500
    assert pieces(text) == ([text], True)
