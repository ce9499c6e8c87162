import pytest
from multidict import CIMultiDict
from pydantic import SecretStr

from gateway.auth.identify import ANONYMOUS, Identifier
from gateway.config.model import Key
from gateway.errors import InvalidKey
from gateway.values import Caller

KEYS = (
    Key(name="bot", key=SecretStr("bot-secret"), team="support", routes=("support",)),
    Key(name="lab", key=SecretStr("lab-secret")),
)


def bearer(value: str) -> CIMultiDict[str]:
    return CIMultiDict({"Authorization": value})


def test_a_known_key_is_its_caller() -> None:
    caller = Identifier("required", KEYS).identify(bearer("Bearer bot-secret"))
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
        Identifier("required", KEYS).identify(headers)
    assert caught.value.message == InvalidKey().message


def test_without_auth_everybody_is_anonymous_but_known_keys() -> None:
    identifier = Identifier("none", KEYS)
    assert identifier.identify(CIMultiDict()) is ANONYMOUS
    assert identifier.identify(bearer("Bearer sk-anything")) is ANONYMOUS
    assert identifier.identify(bearer("bearer lab-secret")).name == "lab"


def test_under_passthrough_a_caller_is_the_hash_of_its_key() -> None:
    identifier = Identifier("passthrough", ())
    caller = identifier.identify(bearer("Bearer sk-theirs"))
    assert caller.has_own_credentials
    assert caller.name.startswith("client-")
    assert "theirs" not in repr(caller)
    assert caller != identifier.identify(bearer("Bearer sk-others"))
    with pytest.raises(InvalidKey):
        identifier.identify(CIMultiDict())
