"""Canary keys and a canary prompt go every way there is; none of them turns up where people look.

Looked at: log lines (debug logging included), metrics, answers and their headers where the secret is
not the client's own, what Redis holds, what the gateway writes to disk.
"""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.gateway import ADMIN_KEY, CHAT, RunningGateway, gateway
from tests.support.redis_server import RedisServer
from tests.support.upstream import (
    Raw,
    Reply,
    Reset,
    ScriptedUpstream,
    Stall,
    Step,
    Stream,
    chat_body,
    chat_chunks,
    usage,
)

UPSTREAM_KEY = "sk-canary-upstream-6b1f"
CLIENT_KEY = "canary-client-key-9c2e"
OTHER_KEY = "canary-wrong-key-41d7"
HEADER = "canary-header-value-77aa"
PROMPT = "canary prompt: the merger is on Friday"
CANARIES = (UPSTREAM_KEY, CLIENT_KEY, OTHER_KEY, HEADER, PROMPT, "the merger")
ECHO = {"error": {"message": f"Incorrect API key provided: {UPSTREAM_KEY}.", "type": "x", "param": None, "code": "k"}}
STEPS: list[Step] = [
    Reply.of(chat_body("Hello.", usage=usage(8, 2))),
    Stream.of(*chat_chunks("Hel", "lo", usage=usage(8, 2))),
    Reply.of(ECHO, 401),
    Reply.of(ECHO, 500),
    Stream.of(ECHO),
    Stream.of(chat_chunks("Hel")[0], cut=True),
    Stream.of(chat_chunks("Hel")[0], ECHO),
    Stream.of(*chat_chunks("Hel")[:2], done=False, cut=True),
    Stream.of(*chat_chunks("Hel")[:2], ECHO),
    Reset(),
    Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"),
    Raw(b"\x00\x01 not HTTP"),
    Stall(),
]


def document(url: str, redis_url: str) -> dict[str, Any]:
    return {
        "server": {"port": 0, "admin": {"port": 0, "key": ADMIN_KEY}, "max_body_mb": 1},
        "ledger": "sqlite:///ledger.db",
        "store": redis_url,
        "store_timeout_s": 2,
        "upstreams": {
            "up": {
                "base_url": url,
                "api_key": "${UPSTREAM_KEY}",
                "headers": {"x-canary-token": "${HEADER}"},
                "total_timeout_s": 0.3,
            }
        },
        "tiers": {"cheap": ["up/gpt-5-nano"], "expensive": ["up/gpt-5"]},
        "routes": [
            {
                "name": "smart",
                "match": {"models": ["auto"]},
                "tier": "auto",
                "router": {"explore": 0.5},
                "cache": {},
                "tokens": {"max_prompt": 400},
            },
            {"name": "default", "upstream": "up", "cache": {}, "on_cut": "continue"},
        ],
        "keys": [{"name": "app", "key": "${CLIENT_KEY}"}],
    }


async def every_way(gw: RunningGateway, steps: list[Step]) -> AsyncIterator[bytes]:
    """What a client is shown on each: heads and bodies."""
    for number, _ in enumerate(steps):
        for model in ("auto", "gpt-5-mini"):
            yield await ask(gw, model=model, stream=number % 2 == 1, seed=number)
        yield await ask(gw, path="/v1/audio/speech")
    yield await ask(gw, key=OTHER_KEY)
    yield await ask(gw, messages=[{"role": "user", "content": PROMPT * 500}], model="auto")
    yield await ask(gw, messages=[{"role": PROMPT, "content": 1}])
    yield await ask(gw, model="auto", headers={"x-gateway-tier": "best"})
    yield await ask(gw, headers={"x-gateway-route": "nowhere"})
    yield await ask(gw, messages=[{"role": "user", "content": "x" * 2_000_000}])
    yield await ask(gw, body=b"{" + PROMPT.encode())
    yield await ask(gw, path="/v1/files/../x")
    yield await ask(gw, path="/nowhere")


async def ask(
    gw: RunningGateway,
    *,
    key: str = CLIENT_KEY,
    path: str = CHAT,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> bytes:
    document = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": PROMPT}], **fields}
    given = {"Authorization": f"Bearer {key}", "Cookie": f"session={CLIENT_KEY}", **(headers or {})}
    try:
        answer = await gw.request("POST", path, body=body or json.dumps(document).encode(), headers=given)
    except aiohttp.ClientError as error:
        return str(error).encode()
    return str(answer.headers).encode() + answer.body


async def issue(gw: RunningGateway, what: str) -> str:
    """A secret of a new key, or of one that is rotated."""
    path, body = ("/admin/keys", {"name": what}) if "/" not in what else (f"/admin/keys/{what}", {})
    return str((await gw.admin("POST", path, body)).json()["secret"])


async def sign_in(gw: RunningGateway) -> bytes:
    """What the status page answers to the admin key."""
    url = f"{gw.admin_url}/ui/sign-in"
    async with gw.http.post(url, data={"key": ADMIN_KEY}, allow_redirects=False) as answer:
        assert answer.status == 303
        return str(answer.headers).encode() + await answer.read()


def written_to(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def test_no_secret_turns_up_anywhere(
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    script = [step for step in STEPS for _ in range(3)]
    env = {"UPSTREAM_KEY": UPSTREAM_KEY, "HEADER": HEADER, "CLIENT_KEY": CLIENT_KEY}
    async with ScriptedUpstream(*script) as up:
        text = json.dumps(document(up.base_url, redis_server.url))
        async with gateway(text, **env) as gw:
            issued = [await issue(gw, "issued"), await issue(gw, "issued/rotate"), await issue(gw, "revoked")]
            found = [(await gw.admin("POST", "/admin/keys/revoked/revoke")).body]
            found += [await ask(gw, key=secret, path=path) for secret in issued for path in (CHAT, "/v1/audio/speech")]
            found += [(await gw.admin("GET", path)).body for path in ("/admin/keys", "/admin/keys/issued")]
            found += [answer async for answer in every_way(gw, STEPS)]
            found.append(str((await gw.metrics()).samples).encode())
            await gw.until(lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
            found += [(await gw.admin("GET", path)).body for path in ("/admin/overview", "/admin/requests?limit=200")]
            assert b"gpt-5-mini" in found[-1]
            found.append(await sign_in(gw))
        assert {seen.header("Authorization") for seen in up.requests} == {f"Bearer {UPSTREAM_KEY}"}
        assert {seen.header("x-canary-token") for seen in up.requests} == {HEADER}
    output = capfd.readouterr()
    assert '"logger":"gateway.access"' in output.err
    found += [output.out.encode(), output.err.encode(), caplog.text.encode(), redis_server.content()]
    written = written_to(tmp_path)
    assert any(b"gpt-5-mini" in content for content in written), "the ledger was looked at"
    found += written
    for canary in (*CANARIES, ADMIN_KEY, *issued):
        assert [piece for piece in found if canary.encode() in piece] == []


TEMPLATE = "canary template of ours"
COMMENT = "canary comment of a client's"


async def test_a_prompts_text_stands_in_the_database_and_what_fills_it_nowhere(
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    env = {"UPSTREAM_KEY": UPSTREAM_KEY, "HEADER": HEADER, "CLIENT_KEY": CLIENT_KEY}
    async with ScriptedUpstream(then=Reply.of(chat_body("Hello.", usage=usage(8, 2)))) as up:
        async with gateway(json.dumps(document(up.base_url, redis_server.url)), **env) as gw:
            for text in (f"{TEMPLATE} {{{{ question }}}}", f"{TEMPLATE} {{{{ question.x }}}}"):
                await push(gw, text)
            await gw.admin("POST", "/admin/prompts/bot/labels/production/activate", {"version": 1})
            shadow = {"version": 2, "share": 1, "usd_per_day": 1}
            assert (await gw.admin("POST", "/admin/prompts/bot/shadow", {"shadow": shadow})).status == 200
            given = {"id": "bot", "variables": {"question": PROMPT}}
            found = [await ask(gw, prompt=prompt, messages=[]) for prompt in (given, {**given, "version": "2"})]
            found.append(await ask(gw, prompt={"id": "bot", "variables": {PROMPT: "x"}}, messages=[]))
            said = json.dumps({"id": "req_1", "score": -1, "comment": COMMENT}).encode()
            found.append(await ask(gw, path="/v1/feedback", body=said))
            await gw.until_within(20, lambda scrape: scrape("gateway_prompt_shadows_total", result="unusable") == 1)
            await gw.until(lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
            found += [answer async for answer in ways_of_a_prompt(gw)]
            found.append(str((await gw.metrics()).samples).encode())
            found += [(await gw.admin("GET", path)).body for path in ("/admin/requests", "/admin/prompts/bot/figures")]
        assert TEMPLATE in up.requests[0].body.decode()
    output = capfd.readouterr()
    found += [output.out.encode(), output.err.encode(), caplog.text.encode(), redis_server.content()]
    for canary in (TEMPLATE, "the merger", COMMENT, CLIENT_KEY):
        assert [piece for piece in found if canary.encode() in piece] == []
    written = b"".join(written_to(tmp_path))
    assert TEMPLATE.encode() in written
    assert b"the merger" not in written


async def ways_of_a_prompt(gw: RunningGateway) -> AsyncIterator[bytes]:
    """What is shown of one that is pushed, refused, asked for rightly and wrongly, and rolled back."""

    def saying(text: str) -> dict[str, Any]:
        variables = {"question": {"untrusted": True, "max_chars": 1_000}}
        messages = [{"role": "system", "content": text}, {"role": "user", "content": "{{ question }}"}]
        return {"document": {"name": "desk", "messages": messages, "variables": variables, "token_budget": 100}}

    yield (await gw.admin("POST", "/admin/prompts", {**saying(TEMPLATE), "label": "production"})).body
    for wrong in (" ", " {{ unknown }}", " {% for", " {{ 1/0 }}"):
        yield (await gw.admin("POST", "/admin/prompts", saying(f"{TEMPLATE}{wrong}"))).body
    yield (await gw.admin("POST", "/admin/prompts", {**saying(f"{TEMPLATE}!"), "label": "production"})).body
    yield (await gw.admin("POST", "/admin/prompts/desk/labels/production/rollback", {})).body
    for path in ("", "/desk", "/desk/versions", "/desk/audit", "-audit"):
        yield (await gw.admin("GET", f"/admin/prompts{path}")).body
    bad = [{}, {"question": 5}, {"question": PROMPT * 50}, {"question": PROMPT * 20}, {PROMPT: 1}]
    for variables in ({"question": PROMPT}, *bad):
        for stream in (False, True):
            yield await ask(gw, prompt={"id": "desk", "variables": variables}, messages=[], stream=stream)
    yield await ask(gw, prompt={"id": "desk", "version": "9", "variables": {"question": PROMPT}})
    yield await ask(gw, prompt={"id": "nobody", "variables": {"question": PROMPT}})


async def push(gw: RunningGateway, text: str) -> None:
    messages = [{"role": "user", "content": text}]
    fields = {"name": "bot", "model": "gpt-5-mini", "messages": messages, "variables": {"question": {}}}
    assert (await gw.admin("POST", "/admin/prompts", {"document": fields})).status == 201


SAYS = "canary template: never mention Project Falcon"
TOLD = "canary variable: the merger of Tuesday"
PROMPTS: list[dict[str, Any]] = [
    {
        "name": "bot",
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": SAYS}, {"role": "user", "content": content}],
        "variables": {"told": {"untrusted": True}, "table": {"type": "object", "default": {"a": 1}}},
        **more,
    }
    for content, more in (
        ("{{ told }}", {}),
        ("{{ told + 1 }}{{ told|round }}", {}),
        ("{{ table[told] }}", {}),
        ("{% for x in range(9999) %}{% for y in range(9999) %}{{ told|upper }}{% endfor %}{% endfor %}", {}),
        ("{{ told }}", {"token_budget": 10}),
        ("{{ told }} \n", {"whitespace": "reject"}),
        ("{{ told }} \n.", {"whitespace": "warn", "token_budget": 10, "over_budget": "warn"}),
    )
]


async def ask_for(gw: RunningGateway, version: int, told: Any = TOLD, **more: Any) -> bytes:
    prompt = {"id": "bot", "version": str(version), "variables": {"told": told, **more}}
    return await ask(gw, body=json.dumps({"prompt": prompt}).encode())


async def test_what_a_prompt_says_stands_in_the_database_alone_and_its_variables_nowhere(
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    env = {"UPSTREAM_KEY": UPSTREAM_KEY, "HEADER": HEADER, "CLIENT_KEY": CLIENT_KEY}
    async with ScriptedUpstream(*[Reply.of(chat_body("Hello.", usage=usage(8, 2)))] * 2) as up:
        text = json.dumps(document(up.base_url, redis_server.url))
        async with gateway(text, **env) as gw:
            found = []
            for prompt in PROMPTS:
                pushed = await gw.admin("POST", "/admin/prompts", {"document": prompt, "force": True})
                assert pushed.status == 201, pushed.body
                found.append(pushed.body)
            refused = await gw.admin("POST", "/admin/prompts", {"document": {**PROMPTS[5], "notes": "again"}})
            assert refused.status == 400
            found.append(refused.body)
            found += [await ask_for(gw, number + 1) for number in range(len(PROMPTS))]
            found += [await ask_for(gw, 1, [TOLD]), await ask_for(gw, 1, table=TOLD), await ask_for(gw, 99)]
            found.append(str((await gw.metrics()).samples).encode())
            await gw.until(lambda scrape: scrape("gateway_ledger_queued_rows") == 0)
            found += [(await gw.admin("GET", path)).body for path in ("/admin/overview", "/admin/requests?limit=200")]
        assert {TOLD.encode() in seen.body and SAYS.encode() in seen.body for seen in up.requests} == {True}
    assert sum(b'"code":"prompt_unusable"' in answer for answer in found) == 3
    output = capfd.readouterr()
    assert '"prompt":"bot"' in output.err
    found += [output.out.encode(), output.err.encode(), caplog.text.encode(), redis_server.content()]
    for canary in (SAYS, TOLD, "Falcon", "of Tuesday", "OF TUESDAY"):
        assert [piece for piece in found if canary.encode() in piece] == []
    written = written_to(tmp_path)
    assert any(SAYS.encode() in content for content in written), "the database was looked at"
    assert [content for content in written if TOLD.encode() in content] == []
