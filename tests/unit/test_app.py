import json
from pathlib import Path
from typing import Any

import pytest

from gateway.assembly.opened import encodings_for
from gateway.config.load import parse
from tests.support.gateway import config


@pytest.mark.parametrize(
    ("sections", "names"),
    [
        ({}, {"o200k_base"}),
        ({"tiers": {"cheap": ["up/gpt-5-mini"], "expensive": ["up/gpt-4-turbo"]}}, {"o200k_base", "cl100k_base"}),
        (
            {"routes": [{"name": "r", "match": {"models": ["text-embedding-3-*"]}, "upstream": "up"}]},
            {"o200k_base", "cl100k_base"},
        ),
    ],
)
def test_encodings_of_models_that_are_named_are_built_before_there_are_requests(
    sections: dict[str, Any], names: set[str]
) -> None:
    loaded = parse(json.dumps(config("http://up.test/v1", **sections)), source="x", env={}, folder=Path())
    assert encodings_for(loaded.config) == names
