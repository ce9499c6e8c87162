"""What clients make of refusals, breaks and requests to wait, with and without the gateway."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.clients.comparing import differences, has_failed, told
from tests.clients.driven import Client, Driver, Drivers, Played
from tests.clients.matrix import CHAT, CLIENTS, RESPONSES, Scenario
from tests.clients.places import OWN_KEY, Place, Places, Scripted, before
from tests.support.gateway import gateway
from tests.support.upstream import Reply, chat_body, usage

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]

each_client = pytest.mark.parametrize("client", [pytest.param(client, id=client.name) for client in CLIENTS])

HELLO = Scenario("hello", "chat", CHAT)
TOO_LONG = {
    "error": {
        "message": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 "
        "tokens. Please reduce the length of the messages.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
"""As OpenAI words it for its current models."""
RATE_LIMITED = {"error": {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}


# ------------------------------------------------------------------ refusals in the gateway's own words


def _same_but_for_words(direct: Played, through: Played, *, also: Sequence[str] = ()) -> None:
    """The same exception with the same facts; the message, in whichever fields it stands, is another."""
    assert direct.raised is not None
    assert through.raised is not None
    assert differences(_facts(direct, also), _facts(through, also)) == []


def _facts(played: Played, also: Sequence[str]) -> dict[str, Any]:
    words = {"message", "body", "responseBody", "last", *also}
    return {name: value for name, value in (played.raised or {}).items() if name not in words}


@each_client
async def test_a_wrong_key_is_refused_alike(client: Client, drivers: Drivers, places: Places) -> None:
    """By the upstream itself where clients bring its keys, else by the gateway."""
    driver = await drivers.of(client)
    direct, passthrough, own = [
        await driver.play(replace(place.task(HELLO), key="sk-wrong-0123456789"))
        for place in (places.direct, places.passthrough, places.gateway)
    ]
    assert differences(told(direct), told(passthrough)) == []
    _same_but_for_words(direct, own)


@each_client
async def test_a_model_that_no_route_serves_is_unknown_alike(client: Client, drivers: Drivers, places: Places) -> None:
    driver = await drivers.of(client)
    direct = await driver.play(places.direct.task(replace(HELLO, headers={"x-simulate": "status=404"})))
    routes = [{"name": "one", "match": {"models": ["gpt-5*"]}, "upstream": "up"}]
    async with gateway(before(places.direct.base_url, routes=routes)) as gw:
        through = await driver.play(Place(f"{gw.url}/v1", OWN_KEY).task(HELLO))
    _same_but_for_words(direct, through, also=["param"])  # the simulator does not say which


@pytest.mark.parametrize("client", [pytest.param(c, id=c.name) for c in CLIENTS if c.is_openai])
@pytest.mark.parametrize(
    "wrong", [{"messages": []}, {"messages": "Hi"}, {"max_tokens": 0}, {"stream": "yes"}, {"model": 7}], ids=str
)
async def test_a_request_that_the_gateway_cannot_read_is_refused_alike(
    client: Client, wrong: dict[str, Any], drivers: Drivers, places: Places
) -> None:
    driver = await drivers.of(client)
    scenario = replace(HELLO, arguments={**CHAT, **wrong})
    direct = await driver.play(places.direct.task(scenario))
    through = await driver.play(places.gateway.task(scenario))
    _same_but_for_words(direct, through, also=["code"])


@each_client
async def test_a_prompt_over_the_cap_is_as_one_over_the_models_context(
    client: Client, drivers: Drivers, places: Places, scripted: Scripted
) -> None:
    driver = await drivers.of(client)
    scripted.play(Reply.of(TOO_LONG, 400))
    direct = await driver.play(scripted.direct.task(HELLO))
    routes = [{"name": "default", "upstream": "up", "tokens": {"max_prompt": 5}}]
    async with gateway(before(places.direct.base_url, routes=routes)) as gw:
        through = await driver.play(Place(f"{gw.url}/v1", OWN_KEY).task(HELLO))
    _same_but_for_words(direct, through)


# ------------------------------------------------------------------ streams that break


@each_client
@pytest.mark.parametrize("wish", ["cut=6", "cut=0", "error=0"])
@pytest.mark.parametrize(("call", "arguments"), [("chat_stream", CHAT), ("responses_stream", RESPONSES)])
async def test_a_broken_stream_is_not_taken_for_a_whole_one(
    client: Client, call: str, arguments: dict[str, Any], wish: str, drivers: Drivers, places: Places
) -> None:
    """All that came before the break arrives; how the break is told may differ.

    Without the gateway the connection ends; with it there is an error to read, and a status instead of a
    stream where nothing of the answer had come yet.
    """
    driver = await drivers.of(client)
    scenario = Scenario(wish, call, arguments, {"x-simulate": wish})
    direct = await driver.play(places.direct.task(scenario))
    through = await driver.play(places.gateway.task(scenario))
    assert has_failed(direct), direct
    assert has_failed(through), through
    before_the_break = [[part for part in told(played)["parts"] if not _is_frame(part)] for played in (direct, through)]
    assert differences(*before_the_break) == []


def _is_frame(part: Any) -> bool:
    """The AI SDK frames what comes in parts of its own, and says in the last ones how it ended."""
    return isinstance(part, dict) and part.get("type") in (
        "start-step",
        "text-end",
        "finish-step",
        "finish",
        "error",
    )


# ------------------------------------------------------------------ trying again


@dataclass(frozen=True, slots=True)
class Tries:
    played: Played
    count: int
    retry_counts: list[str | None]
    """What OpenAI's SDKs say of themselves in each request."""


async def _try(driver: Driver, scripted: Scripted, place: Place, *script: Reply) -> Tries:
    scripted.play(*script)
    played = await driver.play(place.task(HELLO, max_retries=2))
    counts = [seen.header("x-stainless-retry-count") for seen in scripted.requests]
    return Tries(played, len(counts), counts)


@each_client
async def test_a_client_tries_again_as_without_the_gateway(
    client: Client, drivers: Drivers, scripted: Scripted
) -> None:
    driver = await drivers.of(client)
    script = Reply.of(RATE_LIMITED, 429, [("retry-after-ms", "20")]), Reply.of(chat_body("Hi.", usage=usage(8, 2)))
    direct = await _try(driver, scripted, scripted.direct, *script)
    through = await _try(driver, scripted, scripted.gateway, *script)
    assert not has_failed(direct.played), direct
    assert (direct.count, direct.retry_counts[-1]) in ((2, "1"), (2, None))
    assert (through.count, through.retry_counts) == (direct.count, direct.retry_counts)
    assert differences(told(direct.played), told(through.played)) == []


@each_client
async def test_a_client_gives_up_as_without_the_gateway(client: Client, drivers: Drivers, scripted: Scripted) -> None:
    driver = await drivers.of(client)
    script = [Reply.of(RATE_LIMITED, 429, [("x-should-retry", "false"), ("retry-after-ms", "20")])] * 3
    direct = await _try(driver, scripted, scripted.direct, *script)
    through = await _try(driver, scripted, scripted.gateway, *script)
    assert through.count == direct.count == (1 if client.obeys_should_retry else 3)
    assert differences(told(direct.played), told(through.played)) == []


@each_client
async def test_a_final_refusal_of_the_gateway_is_not_tried_again(
    client: Client, drivers: Drivers, places: Places
) -> None:
    """A 504, which clients repeat if they are not told better."""
    driver = await drivers.of(client)
    routes = [{"name": "default", "upstream": "up", "cache": {"ttl_s": 60}}]
    scenario = replace(HELLO, headers={"Cache-Control": "only-if-cached"})
    async with gateway(before(places.direct.base_url, routes=routes)) as gw:
        played = await driver.play(Place(f"{gw.url}/v1", OWN_KEY).task(scenario, max_retries=1))
        scrape = await gw.metrics()
    assert has_failed(played), played
    requests = sum(value for (name, _), value in scrape.samples.items() if name == "gateway_requests_total")
    assert requests == (1 if client.obeys_should_retry else 2)
