import re
from typing import Any, Literal

import pytest
from multidict import CIMultiDict
from pydantic import SecretStr

from gateway.auth.identify import Identifier, credential_in, is_unlisted
from gateway.config.model import Config, Key, Route, Team, Upstream
from gateway.config.money import Budget
from gateway.errors import InvalidKey
from gateway.values import Caller

UPSTREAM = Upstream(base_url="http://localhost/v1")
KEYS = (
    Key(name="bot", key=SecretStr("bot-secret"), team="support", routes=("support",)),
    Key(name="lab", key=SecretStr("lab-secret")),
    Key(name="thrifty", key=SecretStr("thrifty-secret"), team="thrifty"),
    Key(name="listed", key=SecretStr("listed-secret"), passthrough=("/v1/audio/*",)),
)


def identifier(auth: Literal["required", "passthrough", "none"], **sections: Any) -> Identifier:
    teams = (Team(name="support"), Team(name="thrifty", budgets=(Budget(usd=5, per="day"),)))
    route = Route(name="default", upstream="up")
    return Identifier(
        Config(upstreams={"up": UPSTREAM}, routes=(route,), auth=auth, teams=teams, keys=KEYS, **sections)
    )


def bearer(value: str) -> CIMultiDict[str]:
    return CIMultiDict({"Authorization": value})


def test_a_known_key_is_its_caller() -> None:
    caller = identifier("required").identify(credential_in(bearer("Bearer bot-secret")))
    assert caller == Caller("bot", team="support", routes=frozenset({"support"}))


@pytest.mark.parametrize(
    "headers",
    [
        CIMultiDict[str](),
        bearer("Bearer bot-secret2"),
        bearer("Bearer"),
        bearer("Bearer  "),
        bearer("Basic bot-secret"),
        bearer("bot-secret"),
        bearer("Bearer " + "x" * 5000),
        bearer("Bearer \udcff"),
        CIMultiDict([("Authorization", "Bearer bot-secret"), ("Authorization", "Bearer lab-secret")]),
    ],
)
def test_anything_else_gets_one_and_the_same_message(headers: CIMultiDict[str]) -> None:
    with pytest.raises(InvalidKey) as caught:
        identifier("required").identify(credential_in(headers))
    assert caught.value.message == InvalidKey().message


def test_without_auth_everybody_is_anonymous_but_known_keys() -> None:
    known = identifier("none")
    assert known.identify(credential_in(CIMultiDict())) == Caller("anonymous")
    assert known.identify(credential_in(bearer("Bearer sk-anything"))) == Caller("anonymous")
    assert known.identify(credential_in(bearer("bearer lab-secret"))).name == "lab"


def test_under_passthrough_a_caller_is_the_hash_of_its_key() -> None:
    known = identifier("passthrough")
    caller = known.identify(credential_in(bearer("Bearer sk-theirs")))
    assert caller.has_own_credentials
    assert re.fullmatch("client-[0-9a-f]{32}", caller.name)
    assert "theirs" not in repr(caller)
    assert caller != known.identify(credential_in(bearer("Bearer sk-others")))
    with pytest.raises(InvalidKey):
        known.identify(credential_in(CIMultiDict()))


def test_what_is_under_a_budget_passes_nothing_through_unless_it_is_listed() -> None:
    assert identifier("required").identify(credential_in(bearer("Bearer lab-secret"))).passthrough is None
    assert identifier("required").identify(credential_in(bearer("Bearer thrifty-secret"))).passthrough == ()
    budget = (Budget(usd=100, per="month"),)
    assert identifier("required", budgets=budget).identify(credential_in(bearer("Bearer lab-secret"))).passthrough == ()
    assert identifier("required", budgets=budget).identify(
        credential_in(bearer("Bearer listed-secret"))
    ).passthrough == ("/v1/audio/*",)
    assert identifier("none", budgets=budget).identify(credential_in(CIMultiDict())).passthrough == ()


@pytest.mark.parametrize(
    ("name", "auth", "expected"),
    [
        ("anonymous", "none", True),
        ("anonymous", "required", False),
        ("client-0123", "passthrough", True),
        ("client-0123", "none", False),
        ("nope", "passthrough", False),
    ],
)
def test_names_of_callers_without_a_key_of_ours(name: str, auth: str, expected: bool) -> None:
    assert is_unlisted(name, auth) == expected
