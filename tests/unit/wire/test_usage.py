"""Usage objects of several kinds of servers, and what is no count."""

from typing import Any

import pytest

from gateway.values import Usage
from gateway.wire.usage import chat_usage, responses_usage


def told(**usage: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 100, "completion_tokens": 50, **usage}}


def test_every_class_of_tokens_is_read() -> None:
    answer = {
        **told(
            prompt_tokens_details={"cached_tokens": 40, "audio_tokens": 20},
            completion_tokens_details={"reasoning_tokens": 30, "audio_tokens": 5},
        ),
        "service_tier": "priority",
    }
    expected = Usage(100, 50, cached_input=40, reasoning=30, audio_input=20, audio_output=5, service_tier="priority")
    assert chat_usage(answer) == expected


@pytest.mark.parametrize("name", ["cache_write_tokens", "cache_creation_tokens"])
def test_writes_to_the_upstreams_cache_have_two_names(name: str) -> None:
    found = chat_usage(told(prompt_tokens_details={"cached_tokens": 10, name: 60}))
    assert found == Usage(100, 50, cached_input=10, cache_write=60)


def test_parts_never_exceed_their_whole() -> None:
    details = {"cached_tokens": 80, "cache_write_tokens": 80, "audio_tokens": 80}
    found = chat_usage(told(prompt_tokens_details=details, completion_tokens_details={"audio_tokens": 99}))
    assert found == Usage(100, 50, cached_input=80, cache_write=20, audio_input=0, audio_output=50)


def test_the_responses_api_spells_it_otherwise() -> None:
    usage = {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 2}}
    assert responses_usage({"usage": usage, "service_tier": "flex"}) == Usage(7, 3, 2, service_tier="flex")


@pytest.mark.parametrize("count", [-1, 10**12, True, "100", 1.0, None])
def test_what_is_no_count_is_no_report(count: object) -> None:
    assert chat_usage({"usage": {"prompt_tokens": count, "completion_tokens": 1}}) is None


@pytest.mark.parametrize("cost", [-1, 1e300, float("nan"), True, "1"])
def test_what_is_no_cost_is_none(cost: object) -> None:
    found = chat_usage(told(cost=cost))
    assert found is not None
    assert found.cost_nanousd is None


@pytest.mark.parametrize("tier", ["Priority!", "x" * 40, 7, {"a": 1}])
def test_a_class_of_service_is_a_word(tier: object) -> None:
    found = chat_usage({**told(), "service_tier": tier})
    assert found is not None
    assert found.service_tier is None
