import random

import pytest

from gateway.config.model import Config
from gateway.demo.sample import Ask, Way, waves, ways
from gateway.demo.shipped import Prompt

CONFIG = Config.model_validate(
    {
        "upstreams": {"u": {"base_url": "http://localhost/v1"}},
        "tiers": {"cheap": ("u/small",), "expensive": ("u/large",)},
        "routes": (
            {
                "name": "support",
                "match": {"models": ("support-*",), "teams": ("support",)},
                "tier": "auto",
                "tokens": {"max_prompt": 100},
            },
            {"name": "default", "upstream": "u"},
        ),
        "teams": ({"name": "support"}, {"name": "product"}),
        "keys": (
            {"name": "bot", "key": "bot-secret", "team": "support"},
            {"name": "app", "key": "app-secret", "team": "product"},
        ),
    }
)
PROMPTS = [Prompt("authored", f"Question number {number}, put in so many words?") for number in range(50)]


def taken(count: int, seed: int = 1) -> tuple[list[Ask], list[Ask]]:
    return waves(PROMPTS, ways(CONFIG), count, random.Random(seed))


def identity(ask: Ask) -> tuple[str, str, str]:
    return ask.way.key, ask.way.model, ask.text


def test_ways_are_those_that_teams_and_keys_may_take() -> None:
    support, default = CONFIG.routes
    assert ways(CONFIG) == [
        Way(support, "support-chat", "bot-secret"),
        Way(default, "small", "bot-secret"),
        Way(default, "large", "app-secret"),
    ]


def test_a_sample_has_every_kind_in_its_share() -> None:
    first, second = taken(100)
    assert (len(first), len(second)) == (50, 50)
    seen = {identity(ask) for ask in first}
    assert len(seen) == 50
    assert sum(identity(ask) in seen for ask in second) == 25
    assert sum(ask.is_too_long for ask in second) == 4
    assert 30 < sum(ask.is_stream for ask in first + second) < 70


def test_repeats_come_in_the_other_form() -> None:
    first, second = taken(100)
    form = {identity(ask): ask.is_stream for ask in first}
    assert all(ask.is_stream is not form[identity(ask)] for ask in second if identity(ask) in form)


def test_too_long_prompts_go_where_there_is_a_cap_and_pass_it() -> None:
    too_long = [ask for ask in taken(100)[1] if ask.is_too_long]
    assert {ask.way.route.name for ask in too_long} == {"support"}
    assert all(len(ask.text) >= 800 for ask in too_long)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 33, 1000])
def test_any_number_of_requests_can_be_had(count: int) -> None:
    first, second = taken(count)
    assert len(first) + len(second) == count
    assert first


def test_the_same_seed_takes_the_same_sample() -> None:
    assert taken(60, seed=3) == taken(60, seed=3)


def test_support_requests_share_a_system_prompt() -> None:
    ask = Ask(ways(CONFIG)[0], "Hi", is_stream=False)
    assert ask.body() == {
        "model": "support-chat",
        "messages": [
            {"role": "system", "content": "You answer the customers of a small online shop. Be friendly and brief."},
            {"role": "user", "content": "Hi"},
        ],
    }
