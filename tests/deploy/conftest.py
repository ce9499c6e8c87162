"""The image's steps run when asked for (`make test-image`, pytest -m image): they install everything anew."""

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "image: runs the Dockerfile's steps outside Docker; `make test-image` does")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.name == "test_image.py" and "image" not in str(config.option.markexpr):
        return True
    return None
