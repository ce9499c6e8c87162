import pytest

from gateway.tokens.prompt import count_alike


@pytest.mark.parametrize(
    ("model", "other", "is_alike"),
    [
        ("gpt-4o", "openai/gpt-4o-2024-08-06", True),
        ("gpt-5.2", "gpt-5.4-mini", True),
        ("gpt-4o", "gpt-4", False),  # encoding
        ("gpt-4o", "gpt-5", False),  # constants
        ("gpt-4o", "gpt-4o-mini", False),  # images
        ("gpt-4o", "claude-sonnet-4-5", False),  # how far it can be trusted
    ],
)
def test_models_count_alike_or_not(model: str, other: str, is_alike: bool) -> None:
    assert count_alike(model, other) is is_alike
    assert count_alike(other, model) is is_alike
