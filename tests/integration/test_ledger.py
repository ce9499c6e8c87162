"""What requests leave in the ledger, on SQLite and on Postgres, and what they do not notice of it."""

from typing import Any

from gateway.sql import Database
from tests.support.gateway import config, gateway
from tests.support.ledger import rows
from tests.support.postgres_server import PostgresServer
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, usage


async def test_a_request_its_hit_and_its_refusal(ledger_url: str) -> None:
    answer = chat_body("Hello.", usage=usage(1000, 200, cached_tokens=400, reasoning_tokens=150))
    document = {
        "ledger": ledger_url,
        "routes": [{"name": "default", "upstream": "up", "cache": {}, "tokens": {"max_prompt": 100}}],
    }
    async with (
        ScriptedUpstream(Reply.of({**answer, "service_tier": "default"})) as up,
        gateway(config(up.base_url, **document)) as gw,
    ):
        first = await gw.chat(model="gpt-4o-mini")
        again = await gw.chat(model="gpt-4o-mini")
        refused = await gw.chat(model="gpt-4o-mini", messages=[{"role": "user", "content": "word " * 200}])
    assert [answer.status for answer in (first, again, refused)] == [200, 200, 400]
    paid, hit, no = await rows(ledger_url)
    cost = 600 * 150 + 400 * 75 + 200 * 600
    assert first.headers["x-gateway-cost-usd"] == f"0.{cost:09d}"
    expected = {
        "route": "default",
        "key_name": "anonymous",
        "team": None,
        "tier": "none",
        "status": 200,
        "is_success": True,
        "target": "up/gpt-4o-mini",
        "cache": "miss",
        "attempts": 1,
        "finish_reason": "stop",
        "cost_nanousd": cost,
        "cost_source": "computed",
        "input_tokens": 1000,
        "cached_input_tokens": 400,
        "output_tokens": 200,
        "reasoning_tokens": 150,
        "service_tier": "default",
        "saved_cache_nanousd": 0,
        "is_estimated": False,
        "request_id": first.headers["x-request-id"],
        "counted_tokens": 8,
        "is_lost": False,
        "price_unknown": False,
    }
    assert {name: paid[name] for name in expected} == expected
    assert (hit["cache"], hit["cost_nanousd"], hit["saved_cache_nanousd"], hit["attempts"]) == ("hit", None, cost, 0)
    assert hit["cache_key"] == paid["cache_key"] != None  # noqa: E711
    assert (no["status"], no["rejected"], no["target"]) == (400, "context_length_exceeded", None)
    assert 0 < paid["upstream_us"] <= paid["first_byte_us"] <= paid["duration_us"] < 60_000_000
    tries = await rows(ledger_url, "seq, number, target, outcome", "ledger_attempts")
    assert tries == [{"seq": 1, "number": 1, "target": "up/gpt-4o-mini", "outcome": "ok"}]
    (writer,) = await rows_of_writers(ledger_url)
    assert (writer["taken"], writer["dropped"]) == (3, 0)
    assert writer["closed_ms"] >= writer["started_ms"]


async def test_a_stream_has_its_end_and_its_first_byte(ledger_url: str) -> None:
    chunks = chat_chunks("Hel", "lo", usage=usage(8, 2))
    async with (
        ScriptedUpstream(Stream.of(*chunks), Stream.of(chunks[0], cut=True)) as up,
        gateway(config(up.base_url, ledger=ledger_url)) as gw,
    ):
        await gw.chat(stream=True)
        await gw.chat(stream=True)
    whole, cut = await rows(ledger_url)
    assert (whole["is_stream"], whole["is_success"], whole["finish_reason"]) == (True, True, "stop")
    assert (cut["status"], cut["error"], cut["is_success"], cut["finish_reason"]) == (502, "UpstreamCut", False, None)
    assert (cut["is_estimated"], cut["cost_source"]) == (True, "estimated")


async def test_requests_do_not_notice_a_database_that_is_away(postgres: PostgresServer) -> None:
    """Stopped from the start, then frozen, then stopped: every answer comes, and every row is there in the end."""
    postgres.stop()
    async with (
        ScriptedUpstream(*[Reply.of(chat_body("Hello.", usage=usage(8, 2)))] * 40) as up,
        gateway(config(up.base_url, ledger=postgres.url)) as gw,
    ):

        async def ask(n: int) -> None:
            for _ in range(n):
                assert (await gw.chat()).status == 200

        await gw.until(lambda scrape: scrape("gateway_ledger_up") == 0)
        await ask(10)
        assert await gw.metric("gateway_ledger_queued_rows") == 10
        postgres.start()
        await gw.until_within(30, lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
        postgres.freeze()
        await ask(10)
        postgres.thaw()
        await ask(10)
        postgres.kill()
        await ask(10)
        postgres.start()
        await gw.until_within(30, lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
        assert await gw.metric("gateway_ledger_dropped_total") == 0
    assert len(await rows(postgres.url)) == 40


async def rows_of_writers(ledger_url: str) -> list[dict[str, Any]]:
    names = ["taken", "dropped", "started_ms", "closed_ms"]
    async with Database(ledger_url) as database:
        return [
            dict(zip(names, row, strict=True))
            for row in await database.fetch(f"SELECT {', '.join(names)} FROM ledger_writers")
        ]
