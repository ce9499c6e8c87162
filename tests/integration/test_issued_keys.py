"""Keys that are issued, rotated and revoked while the gateway runs, on SQLite and on Postgres.

Once for each, and not with both lanes: who asks is found out behind them (`test_doors.py`). The tables are made here,
in this process: a gateway has a process of its own do that, which takes seconds.
"""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.secret import make_secret
from gateway.migrations.upgrade import upgrade
from tests.support.gateway import ADMIN_KEY, RunningGateway, config
from tests.support.gateway import gateway as running
from tests.support.polling import until
from tests.support.postgres_server import PostgresServer
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_ledger"))
    server: PostgresServer = request.getfixturevalue("postgres")
    upgrade(server.url)
    return server.url


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    upgrade(url)
    return url


@asynccontextmanager
async def keyed(ledger: str, **sections: Any) -> AsyncIterator[RunningGateway]:
    async with ScriptedUpstream(then=ANSWER) as up:
        document = config(
            up.base_url,
            server={"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}},
            ledger=ledger,
            routes=[
                {"name": "small", "match": {"models": ["gpt-5-nano"]}, "upstream": "up"},
                {"name": "default", "upstream": "up"},
            ],
            **{
                "auth": "required",
                "teams": [{"name": "sales"}],
                "keys": [{"name": "boss", "key": "boss-secret", "models": ["gpt-5-*"]}],
                **sections,
            },
        )
        async with running(document) as gw:
            yield gw


async def create(gw: RunningGateway, **fields: Any) -> dict[str, Any]:
    answer = await gw.admin("POST", "/admin/keys", fields)
    assert answer.status == 201, answer.body
    return dict(answer.json())


async def until_status(gw: RunningGateway, secret: str, status: int) -> float:
    """Ask until the answer is `status`; seconds it took."""
    began = time.monotonic()

    async def has_come() -> bool:
        return (await gw.chat(key=secret)).status == status

    await until(has_come, within_s=10)
    return time.monotonic() - began


async def test_a_key_lives_from_its_creation_to_its_revocation_on_every_replica(ledger: str) -> None:
    async with keyed(ledger) as one, keyed(ledger) as other:
        created = await create(one, name="bot", team="sales", tags={"env": "test"})
        secret = created.pop("secret")
        assert (created["state"], created["team"], created["tags"]) == ("active", "sales", {"env": "test"})
        assert (await one.chat(key=secret)).status == 200
        await until_status(other, secret, 200)

        rotated = (await other.admin("POST", "/admin/keys/bot/rotate", {"grace_s": 3600})).json()
        assert (await other.chat(key=rotated["secret"])).status == 200
        await until_status(one, rotated["secret"], 200)
        assert (await one.chat(key=secret)).status == 200
        last = (await one.admin("POST", "/admin/keys/bot/rotate")).json()["secret"]
        assert [(await one.chat(key=each)).status for each in (secret, rotated["secret"], last)] == [401, 401, 200]

        await until_status(other, last, 200)
        assert (await one.admin("POST", "/admin/keys/bot/revoke")).json()["state"] == "revoked"
        assert (await one.chat(key=last)).status == 401
        await until_status(other, last, 401)
        assert (await other.admin("GET", "/admin/keys/bot")).json()["state"] == "revoked"
        assert [key["name"] for key in (await other.admin("GET", "/admin/keys")).json()["keys"]] == ["bot"]
        again = await one.admin("POST", "/admin/keys", {"name": "bot"})
        assert (again.status, again.error["code"]) == (409, "conflict")
        assert (await one.admin("POST", "/admin/keys/bot/rotate")).status == 409
        purges = [(await one.admin("POST", "/admin/cache/purge", {"key": name})).status for name in ("bot", "bott")]
        assert purges == [200, 400]


async def test_whatever_is_no_key_gets_one_and_the_same_answer(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger) as gw:
        revoked = (await create(gw, name="gone"))["secret"]
        await gw.admin("POST", "/admin/keys/gone/revoke")
        late = (await create(gw, name="late", expires_at="2999-01-01T00:00:00Z"))["secret"]
        with sqlite3.connect(sqlite_ledger.removeprefix("sqlite:///")) as database:
            database.execute(
                "UPDATE issued_keys SET changed = 99, settings = replace(settings, '2999', '2001') WHERE name = 'late'"
            )
            database.execute("UPDATE issued_keys_version SET version = 99")
        await until_status(gw, late, 401)
        wrong = [revoked, late, make_secret(), revoked[:-1] + "!", "gwk_", "sk-unknown", "x" * 5000, None]
        answers = [await gw.chat(key=key) for key in wrong]
        assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}
        assert answers[0].error["code"] == "invalid_api_key"
        assert (await gw.admin("GET", "/admin/keys/late")).json()["state"] == "expired"


async def test_a_key_may_do_what_it_was_given_and_no_more(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger) as gw:
        narrow = (await create(gw, name="narrow", routes=["small"]))["secret"]
        assert (await gw.chat(key=narrow, model="gpt-5-nano")).status == 200
        assert (await gw.chat(key=narrow, model="gpt-5")).status == 404
        named = (await create(gw, name="named", models=["gpt-5-*"]))["secret"]
        assert (await gw.chat(key=named, model="gpt-5-mini")).status == 200
        refused = await gw.chat(key=named, model="gpt-4o")
        assert (refused.status, refused.error["code"]) == (404, "model_not_found")
        away = {"Authorization": f"Bearer {named}"}
        assert (await gw.request("POST", "/v1/audio/speech", body=b"{}", headers=away)).status == 403
        limited = (await create(gw, name="limited", limits={"requests_per_minute": 2}))["secret"]
        statuses = [(await gw.chat(key=limited)).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        thrifty = (await create(gw, name="thrifty", budgets=[{"tokens": 25, "per": "total"}]))["secret"]
        assert [(await gw.chat(key=thrifty, max_tokens=4)).status for _ in range(3)] == [200, 200, 429]
        [state] = [b for b in (await gw.admin("GET", "/admin/budgets")).json()["budgets"] if b["unit"] == "tokens"]
        assert (state["scope"], state["limit"], state["spent"], state["left"]) == ("key:thrifty", 25, 20, 5)


async def test_a_key_never_exceeds_its_issuer(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger) as gw:
        parent = await create(gw, name="parent", issuer="boss", models=["gpt-5-*"], limits={"requests_per_minute": 3})
        child = (await create(gw, name="child", issuer="parent"))["secret"]
        for fields in ({"models": ["*"]}, {"models": ["gpt-4o"]}, {"team": "sales"}, {"passthrough": ["/v1/files"]}):
            refused = await gw.admin("POST", "/admin/keys", {"name": "greedy", "issuer": "parent", **fields})
            assert refused.status == 400
            assert "'parent'" in refused.error["message"]
        assert (await gw.chat(key=child, model="gpt-4o")).status == 404
        statuses = [(await gw.chat(key=key)).status for key in (child, parent["secret"], child, child)]
        assert statuses == [200, 200, 200, 429]
        await gw.admin("POST", "/admin/keys/parent/revoke")
        assert (await gw.chat(key=child)).status == 401
        assert (await gw.admin("POST", "/admin/keys", {"name": "orphan", "issuer": "parent"})).status == 400


async def test_a_key_follows_its_issuer_into_another_team(sqlite_ledger: str) -> None:
    teams = [{"name": "wide"}, {"name": "tight", "limits": {"requests_per_minute": 2}}]
    boss = {"name": "boss", "key": "boss-secret", "team": "wide"}
    async with keyed(sqlite_ledger, teams=teams, keys=[boss]) as gw:
        kid = await create(gw, name="kid", issuer="boss")
        grandkid = await create(gw, name="grandkid", issuer="kid")
        assert (kid["team"], grandkid["team"]) == ("wide", "wide")
        upstream = gw.live.gateway.config.upstreams["up"].base_url
        document = config(
            upstream,
            server={"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}},
            ledger=sqlite_ledger,
            auth="required",
            teams=teams,
            keys=[{**boss, "team": "tight"}],
        )
        await gw.reload(document)
        statuses = [(await gw.chat(key=key["secret"])).status for key in (kid, grandkid, kid, grandkid)]
        assert statuses == [200, 200, 429, 429]
        assert (await gw.admin("GET", "/admin/keys/grandkid")).json()["team"] == "tight"
        listed = {
            team: [key["name"] for key in (await gw.admin("GET", f"/admin/keys?team={team}&limit=1")).json()["keys"]]
            for team in ("wide", "tight")
        }
        assert listed == {"wide": [], "tight": ["grandkid"]}
        assert (await create(gw, name="late", issuer="kid"))["team"] == "tight"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "name: Field required"),
    ({"name": "bad name"}, "name: "),
    ({"name": "boss"}, "key in the configuration"),
    ({"name": "anonymous"}, "kept for callers without a key"),
    ({"name": "shadow"}, "calls of the gateway's own"),
    ({"name": "client-1"}, "kept for callers without a key"),
    ({"name": "a", "models": ["m"] * 50_000}, "models: Tuple should have at most 1000 items"),
    ({"name": "a", "team": "sails"}, "team: expected a name from `teams`, got 'sails' (did you mean 'sales'?)"),
    ({"name": "a", "routes": ["smal"]}, "routes[0]: expected a name from `routes`"),
    ({"name": "a", "key": "mine"}, "key: expected a known field"),
    ({"name": "a", "budgets": [{"usd": 5, "per": "day", "on_exceeded": "cheap"}]}, "on_exceeded"),
    ({"name": "a", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at: expected a time to come"),
    ({"name": "a", "expires_at": "2999-01-01T00:00:00"}, "expires_at"),
    ({"name": "a", "issuer": "nobody"}, "No key named 'nobody' was issued"),
]


async def test_a_description_that_does_not_hold_is_refused_with_what_is_wrong(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger) as gw:
        for fields, said in WRONG:
            answer = await gw.admin("POST", "/admin/keys", fields)
            assert (answer.status, said) == (400, said if said in answer.error["message"] else answer.error["message"])


async def test_numbers_that_are_none_are_refused_with_their_bounds(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger) as gw:
        await create(gw, name="bot")
        for limit in ("0", "1.5", "-1", "1001", "x", "1_0", ""):
            answer = await gw.admin("GET", f"/admin/keys?limit={limit}")
            assert (answer.status, answer.error["param"]) == (400, "limit")
            assert "from 1 to 1000" in answer.error["message"]
        for grace in (True, "5", -1, 10**40, [1]):
            answer = await gw.admin("POST", "/admin/keys/bot/rotate", {"grace_s": grace})
            assert (answer.status, answer.error["param"]) == (400, "grace_s")
        assert len((await gw.admin("GET", "/admin/keys?limit=1")).json()["keys"]) == 1


async def test_without_the_database_the_keys_last_known_go_on(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger) as gw:
        secret = (await create(gw, name="bot"))["secret"]
        with sqlite3.connect(sqlite_ledger.removeprefix("sqlite:///")) as database:
            database.execute("DROP TABLE issued_keys_version")
        await gw.until(lambda scrape: scrape("gateway_keys_age_seconds") > 1)
        assert (await gw.chat(key=secret)).status == 200
        assert (await gw.chat(key=make_secret())).status == 401


async def test_a_process_that_never_saw_its_database_does_not_call_keys_wrong(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    async with keyed(f"sqlite:///{tmp_path}/ledger.db") as gw:
        answer = await gw.chat(key=make_secret())
        assert (answer.status, answer.error["code"]) == (503, "keys_unavailable")
        assert (await gw.chat(key="boss-secret")).status == 200
        assert (await gw.chat(key="made-up")).status == 401
        refused = await gw.admin("POST", "/admin/keys", {"name": "bot"})
        assert (refused.status, refused.error["code"]) == (503, "database_unavailable")


async def test_without_a_ledger_no_keys_can_be_issued() -> None:
    async with keyed("none") as gw:
        answer = await gw.admin("POST", "/admin/keys", {"name": "bot"})
        assert answer.status == 404
        assert "`ledger`" in answer.error["message"]


async def test_nobody_issues_a_key_without_the_admin_key(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger) as gw:
        for key in (None, "boss-secret"):
            assert (await gw.admin("POST", "/admin/keys", {"name": "bot"}, key=key)).status == 401


async def test_a_revoked_key_is_not_handed_on_to_the_upstream(sqlite_ledger: str) -> None:
    async with keyed(sqlite_ledger, auth="passthrough") as gw:
        secret = (await create(gw, name="bot"))["secret"]
        await gw.admin("POST", "/admin/keys/bot/revoke")
        assert (await gw.chat(key=secret)).status == 401
        assert (await gw.chat(key="sk-their-own")).status == 200


async def test_operators_are_told_what_was_spent_on_what(ledger: str) -> None:
    prices = {"gpt-5-mini": {"input": 100, "output": 1000}}
    async with keyed(ledger, prices=prices) as gw:
        secret = (await create(gw, name="spender"))["secret"]
        for _ in range(2):
            assert (await gw.chat(key=secret)).status == 200

        async def spender() -> dict[str, Any]:
            rows = (await gw.admin("GET", "/admin/spend?by=key")).json()["spend"]
            return next((row for row in rows if row["key"] == "spender"), {})

        async def has_both() -> bool:
            return (await spender()).get("requests") == 2

        await until(has_both)
        row = await spender()
        assert (row["input_tokens"], row["output_tokens"], row["saved_usd"]) == (16, 4, 0)
        assert row["spent_usd"] == pytest.approx(2 * 0.0028)
        today = (await gw.admin("GET", "/admin/spend?by=day&since=2001-01-01")).json()
        assert today["is_complete"]
        assert (await gw.admin("GET", "/admin/spend?until=2001-01-01")).json()["spend"] == []
        for wrong in ("by=body", "since=yesterday"):
            assert (await gw.admin("GET", f"/admin/spend?{wrong}")).status == 400
