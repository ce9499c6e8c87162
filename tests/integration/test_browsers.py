"""Pages in browsers: allowed where the configuration names their origin."""

from typing import Any

from tests.support.gateway import config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks

PAGE = "https://app.example.com"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, x-stainless-lang",
}


def open_to(*origins: str, url: str) -> dict[str, Any]:
    document = config(url, auth="required", keys=[{"name": "page", "key": "key-of-page"}])
    document["server"]["cors"] = {"origins": list(origins)}
    return document


async def test_a_preflight_of_a_named_page_is_answered_without_a_key() -> None:
    async with ScriptedUpstream() as up, gateway(open_to(PAGE, url=up.base_url)) as gw:
        answer = await gw.request("OPTIONS", "/v1/chat/completions", headers=PREFLIGHT)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-stainless-lang"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


async def test_the_page_may_read_answers_streams_and_errors() -> None:
    steps: list[Reply | Stream] = [Reply.of(chat_body("Hello.")), Stream.of(*chat_chunks("Hello."))]
    async with ScriptedUpstream(*steps) as up, gateway(open_to("*", url=up.base_url)) as gw:
        for key, stream, status in (("key-of-page", False, 200), ("key-of-page", True, 200), ("wrong-key", False, 401)):
            answer = await gw.chat(key=key, stream=stream, headers={"Origin": PAGE})
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert answer.headers["Access-Control-Expose-Headers"] == "*"


async def test_no_page_is_allowed_that_is_not_named() -> None:
    async with ScriptedUpstream(Reply.of(chat_body("Hello."))) as up, gateway(open_to(url=up.base_url)) as gw:
        answer = await gw.chat(key="key-of-page", headers={"Origin": PAGE})
        assert answer.status == 200
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        assert (await gw.request("OPTIONS", "/v1/chat/completions", headers=PREFLIGHT)).status == 401
