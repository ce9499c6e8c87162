"""Limits and budgets over requests that are past: whose they are, and what was used before."""

import json
from typing import Any

from gateway.admission.past import PastCaps
from gateway.config.model import Config, IssuedKey

DAY_MS = 86_400_000
NOON_MS = 1_800_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2


def caps(*issued: IssuedKey, **sections: Any) -> PastCaps:
    document = {
        "upstreams": {"up": {"base_url": "http://x/v1"}},
        "routes": [{"name": "r", "upstream": "up"}],
        "keys": [{"name": "bot", "key": "the-bots-secret", "team": "support"}],
        "teams": [{"name": "support"}],
        **sections,
    }
    return PastCaps(Config.model_validate_json(json.dumps(document)), issued, NOON_MS)


def taken(caps: PastCaps, *, key: str = "bot", team: str | None = None, at_ms: int = NOON_MS, tokens: int = 0) -> bool:
    cap = caps.of(key, team, "r")
    assert cap is not None
    return cap.takes(at_ms, tokens, 0, 1000)


def test_where_nothing_is_limited_there_is_no_cap() -> None:
    assert caps().of("bot", None, "r") is None


def test_what_was_used_before_counts_until_its_period_ends() -> None:
    daily = caps(teams=[{"name": "support", "budgets": [{"tokens": 100, "per": "day"}]}])
    assert daily.periods == {"day"}
    daily.charge("day", key="bot", team="support", route="r", tokens=90, nanousd=0)
    daily.charge("month", key="bot", team="support", route="r", tokens=90, nanousd=0)
    assert not taken(daily, tokens=11)
    assert taken(daily, tokens=10)
    assert taken(daily, tokens=100, at_ms=NOON_MS + DAY_MS // 2)


def test_a_key_is_of_the_team_that_the_configuration_says() -> None:
    capped = caps(teams=[{"name": "support", "limits": {"requests_per_minute": 1}}])
    assert taken(capped, team="another, then")
    assert not taken(capped, team="another, then")
    assert capped.of("stranger", "another, then", "r") is None


def test_an_issued_key_is_under_its_issuers_caps_too() -> None:
    keys = [{"name": "bot", "key": "the-bots-secret", "budgets": [{"tokens": 100, "per": "total"}]}]
    capped = caps(IssuedKey.model_validate_json('{"name": "ci", "issuer": "bot"}'), keys=keys, teams=[])
    assert taken(capped, key="ci", tokens=60)
    assert not taken(capped, key="bot", tokens=60)


def test_a_minutes_tokens_drain_with_time() -> None:
    keys = [{"name": "bot", "key": "the-bots-secret", "limits": {"tokens_per_minute": 60}}]
    capped = caps(keys=keys, teams=[])
    assert taken(capped, tokens=60)
    assert not taken(capped, tokens=1, at_ms=NOON_MS + 999)
    assert taken(capped, tokens=1, at_ms=NOON_MS + 1000)
