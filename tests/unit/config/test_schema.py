import re
from typing import Any

import pytest

from gateway.config.problem import Path
from gateway.config.schema import editor_schema, expected, is_secret, known_keys


@pytest.mark.parametrize(
    "path",
    [
        ("server", "admin", "key"),
        ("upstreams", "any", "api_key"),
        ("upstreams", "any", "headers", "Authorization"),
        ("upstreams", "any", "query", "key"),
        ("keys", 3, "key"),
    ],
)
def test_what_may_be_a_credential_is_secret(path: Path) -> None:
    assert is_secret(path)


@pytest.mark.parametrize("path", [(), ("server", "tls", "key"), ("keys", 3, "name"), ("upstreams", "any"), ("x", "y")])
def test_the_rest_may_be_shown(path: Path) -> None:
    assert not is_secret(path)


def test_keys_of_a_section_and_of_a_mapping_with_fixed_names() -> None:
    assert known_keys(("server", "tls")) == ("cert", "key")
    assert known_keys(("tiers",)) == ("cheap", "expensive")
    assert known_keys(("upstreams",)) == ()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("server", "port"), "a whole number between 0 and 65,535"),
        (("server", "max_body_mb"), "a number of megabytes > 0"),
        (("server", "drain_s"), "a number of seconds > 0"),
        (("routes", 0, "cache"), "a mapping"),
        (("routes", 0, "cache", "ttl_s"), "a whole number of seconds between 1 and 31,536,000"),
        (("routes", 0, "match", "models"), "a list"),
        (("routes", 0, "match", "models", 0), "text of 1 to 200 characters"),
        (("routes", 0, "match", "endpoints", 0), "'chat', 'completions', 'embeddings' or 'responses'"),
        (("routes", 0, "router", "threshold"), "a number between 0 and 1"),
        (("upstreams", "a", "stream_usage"), "true or false"),
        (("prices", "a", "input"), "a number between 0 and 1,000,000"),
        (("keys", 0, "key"), "a secret"),
        (("no", "such", "place"), "another value"),
    ],
)
def test_what_is_expected_is_said_in_words(path: Path, words: str) -> None:
    assert expected(path) == words


def test_in_an_editor_a_reference_may_stand_for_any_value() -> None:
    schema: dict[str, Any] = editor_schema()
    port = schema["$defs"]["Server"]["properties"]["port"]
    assert port["anyOf"] == [
        {"maximum": 65535, "minimum": 0, "type": "integer"},
        {"$ref": "#/$defs/Reference"},
    ]
    assert port["default"] == 8080
    pattern = schema["$defs"]["Reference"]["pattern"]
    assert all(re.search(pattern, text) for text in ("${PORT}", "${PORT:-1}", "x-${file:/y}", "os.environ/PORT"))
    assert not re.search(pattern, "8080")


def test_in_an_editor_an_unknown_key_is_an_error_everywhere() -> None:
    schema: dict[str, Any] = editor_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["upstreams"]["additionalProperties"] is False
