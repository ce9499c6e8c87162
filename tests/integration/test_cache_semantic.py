"""Answers to questions that mean the same, on the way of a request."""

import asyncio

import pytest

from tests.support.gateway import gateway
from tests.support.semantic import RESET, RESET_TOO, Api, ask, is_semantic, opened, semantic
from tests.support.upstream import ScriptedUpstream, Seen, Step


@pytest.fixture
def api() -> Api:
    return Api()


async def test_a_question_that_means_the_same_is_answered_from_the_cache(api: Api, store: str) -> None:
    async with ScriptedUpstream(then=api) as up, gateway(semantic(up.base_url, store)) as gw:
        await opened(gw)
        miss = await ask(gw, RESET)
        hit = await ask(gw, RESET_TOO, key="key-blue-one")
        assert hit.body == miss.body
        assert hit.headers["Cache-Status"].startswith("gateway; hit; ttl=")
        assert is_semantic(hit)
        assert hit.headers["x-gateway-similarity"] == "1.0000"
        assert hit.headers["x-gateway-cost-usd"] == "0.000000000"
        assert hit.headers["Age"] == "0"
        assert not is_semantic(await ask(gw, RESET))
        scrape = await gw.metrics()
        assert scrape("gateway_cache_requests_total", route="default", result="semantic") == 1
        assert scrape("gateway_cache_requests_total", route="default", result="hit") == 1
        assert scrape("gateway_saved_usd_total", route="default", reason="semantic") > 0
        assert scrape("gateway_semantic_vectors") == 3
        assert api.asked.count(RESET_TOO) == 0


async def test_a_hit_is_streamed_to_who_wants_a_stream(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up, gateway(semantic(up.base_url)) as gw:
        await opened(gw)
        await ask(gw, RESET, stream=True)
        hit = await ask(gw, RESET_TOO, stream=True)
        assert is_semantic(hit)
        assert hit.body.endswith(b"data: [DONE]\n\n")
        plain = await ask(gw, RESET_TOO)
        assert is_semantic(plain)
        assert plain.json()["choices"][0]["message"]["content"] == "Press the button."


async def test_repeats_of_what_was_a_semantic_hit_ask_for_no_vector_again(api: Api) -> None:
    async with ScriptedUpstream(then=api) as up, gateway(semantic(up.base_url)) as gw:
        await opened(gw)
        await ask(gw, RESET)
        answers = await asyncio.gather(*(ask(gw, RESET_TOO) for _ in range(20)))
        assert all(map(is_semantic, answers))
        assert api.embedded.count(RESET_TOO) == 1
        assert api.embedded.count(RESET) == 1


async def test_a_client_that_leaves_while_its_vector_is_made_harms_nobody(api: Api) -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def slowly(request: Seen) -> Step:
        if request.path.endswith("/embeddings"):
            asked.set()
            await go_on.wait()
        return api(request)

    async with ScriptedUpstream(then=slowly) as up, gateway(semantic(up.base_url)) as gw:
        leaving = asyncio.create_task(ask(gw, RESET))
        await asked.wait()
        staying = asyncio.create_task(ask(gw, RESET))
        leaving.cancel()
        await gw.until(
            lambda scrape: (
                scrape(
                    "gateway_requests_total", route="default", endpoint="chat", tier="none", model="none", code="499"
                )
                == 1
            )
        )
        go_on.set()
        assert (await staying).json()["choices"][0]["message"]["content"] == "Press the button."
