import asyncio
import socket
from typing import Any

import pytest

from gateway.upstream.dns import Resolver

ONE = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))
TWO = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.2", 443))


class Names:
    """In place of the system's resolver."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.answer: list[Any] | OSError = [ONE, TWO]
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._getaddrinfo)

    async def _getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        assert (host, port) == ("api.example.com", 443)
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
def resolver() -> Resolver:
    return Resolver("api.example.com", 443)


async def test_all_who_ask_at_once_share_a_lookup_and_take_turns(names: Names, resolver: Resolver) -> None:
    answers = await asyncio.gather(*(resolver.addresses() for _ in range(4)))
    assert [answer[0] for answer in answers] == [ONE, TWO, ONE, TWO]
    assert (await resolver.addresses())[0] == ONE
    assert names.asked == 1


async def test_one_who_leaves_does_not_spoil_it_for_the_others(names: Names, resolver: Resolver) -> None:
    leaving, staying = (asyncio.create_task(resolver.addresses()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert list(await staying) == [ONE, TWO]
    assert names.asked == 1


async def test_what_could_not_be_reached_is_looked_up_again(names: Names, resolver: Resolver) -> None:
    await resolver.addresses()
    names.answer = [TWO]
    assert len(await resolver.addresses()) == 2
    resolver.forget()
    assert list(await resolver.addresses()) == [TWO]


async def test_a_failure_is_not_remembered(names: Names, resolver: Resolver) -> None:
    names.answer = socket.gaierror("no such name")
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.addresses()
    names.answer = [ONE]
    assert list(await resolver.addresses()) == [ONE]


async def test_old_addresses_are_better_than_none(
    names: Names, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await resolver.addresses()
    monkeypatch.setattr("gateway.upstream.dns._KEEP_S", -1.0)
    names.answer = socket.gaierror("no name server")
    assert (await resolver.addresses())[0] == TWO
    assert names.asked == 2
