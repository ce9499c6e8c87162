"""Requests that name a prompt: through OpenAI's own client, before the simulator, and byte by byte before a script."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from gateway.migrations.upgrade import upgrade
from gateway.simulator.app import Simulator
from tests.support.gateway import ADMIN_KEY, RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

IMAGE = {"type": "input_image", "image_url": "https://example.com/cat.png", "detail": "low"}
PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}
SUPPORT = {
    "name": "support",
    "model": "gpt-5-mini",
    "messages": [
        {"role": "developer", "content": "You help customers of {{ shop }}."},
        {"role": "user", "content": "Greet {{name}} in {{ words }} words."},
    ],
    "variables": {"shop": {"default": "Acme"}, "name": {"max_chars": 20}, "words": {"type": "number", "default": 5}},
    "parameters": {"max_completion_tokens": 50, "reasoning_effort": "low"},
}
BEARER = {"Authorization": "Bearer key-of-small"}
LOOK = {
    "name": "look",
    "messages": [{"role": "user", "content": "What is in {{ photo }}\nand in {{ paper }}"}],
    "variables": {"photo": {"type": "image"}, "paper": {"type": "file"}},
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its tables, which take a second to make."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def folder(ledger: Path, tmp_path: Path) -> Path:
    shutil.copy(ledger, tmp_path)
    return tmp_path


def document(url: str, folder: Path) -> dict[str, Any]:
    made = config(url)
    made["ledger"] = f"sqlite:///{folder}/ledger.db"
    made["server"]["admin"]["key"] = ADMIN_KEY
    return made


async def push(gw: RunningGateway, *documents: dict[str, Any], label: str = "production") -> list[str]:
    """The ids of the prompts, which are pushed whatever lint says of them."""
    ids = []
    for one in documents:
        answer = await gw.admin("POST", "/admin/prompts", {"document": one, "label": label, "force": True})
        assert answer.status in (200, 201), answer.body
        ids.append(answer.json()["id"])
    return ids


@pytest.fixture
async def gw(folder: Path) -> AsyncIterator[RunningGateway]:
    async with Simulator() as simulator, gateway(document(simulator.base_url, folder)) as gw:
        await push(gw, SUPPORT, LOOK)
        yield gw


@pytest.fixture
async def client(gw: RunningGateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gw.url}/v1", api_key="sk-anything", max_retries=0) as client:
        yield client


# ------------------------------------------------------------------ OpenAI's client


async def test_a_response_is_what_the_prompt_stands_for(client: AsyncOpenAI) -> None:
    asked = await client.responses.with_raw_response.create(prompt={"id": "support", "variables": {"name": "Ann"}})
    answer = asked.parse()
    plain = await client.responses.create(
        model="gpt-5-mini",
        instructions="You help customers of Acme.",
        input=[{"role": "user", "content": "Greet Ann in 5 words."}],
        max_output_tokens=50,
        reasoning={"effort": "low"},
    )
    assert answer.output_text == plain.output_text != ""
    assert answer.prompt is not None
    assert answer.prompt.id.startswith("pmpt_")
    assert (answer.prompt.version, answer.prompt.variables) == ("1", {"name": "Ann"})
    assert asked.headers["x-gateway-prompt"] == "support@1"
    assert asked.headers["x-gateway-model"].endswith("/gpt-5-mini")


async def test_a_streamed_response_tells_its_prompt(client: AsyncOpenAI) -> None:
    prompt: Any = {"id": "support", "version": "1", "variables": {"name": "Ann"}}
    plain = await client.responses.create(prompt=prompt)
    async with await client.responses.create(prompt=prompt, stream=True) as stream:
        events: list[Any] = [event async for event in stream]
    told = [event.response.prompt for event in events if "response" in event.model_fields_set]
    assert [prompt and prompt.version for prompt in told] == ["1"] * len(told)
    assert len(told) >= 2
    assert events[-1].response.output_text == plain.output_text


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_is_what_the_prompt_stands_for(client: AsyncOpenAI, stream: bool) -> None:
    create: Any = client.chat.completions.create
    after = {"role": "user", "content": "And in French?"}
    asked = {"messages": [after], "extra_body": {"prompt": {"id": "support", "variables": {"name": "Ann"}}}}
    told = [
        {"role": "developer", "content": "You help customers of Acme."},
        {"role": "user", "content": "Greet Ann in 5 words."},
        after,
    ]
    plain = await create(model="gpt-5-mini", messages=told, max_completion_tokens=50, reasoning_effort="low")
    if stream:
        chunks = [chunk async for chunk in await create(model="gpt-5-mini", stream=True, **asked)]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        text = (await create(model="gpt-5-mini", **asked)).choices[0].message.content
    assert text == plain.choices[0].message.content != ""


async def test_messages_may_be_absent(gw: RunningGateway) -> None:
    body = json.dumps({"prompt": {"id": "support", "variables": {"name": "Ann"}}}).encode()
    answer = await gw.request("POST", "/v1/chat/completions", body=body)
    assert answer.status == 200
    assert answer.headers["x-gateway-prompt"] == "support@1"


async def test_images_and_files_are_parts(client: AsyncOpenAI) -> None:
    variables: Any = {"photo": IMAGE, "paper": PDF}
    answer = await client.responses.create(model="gpt-5-mini", prompt={"id": "look", "variables": variables})
    content: Any = [
        {"type": "input_text", "text": "What is in "},
        IMAGE,
        {"type": "input_text", "text": "\nand in "},
        PDF,
    ]
    plain = await client.responses.create(model="gpt-5-mini", input=[{"role": "user", "content": content}])
    assert answer.output_text == plain.output_text
    assert answer.usage is not None
    assert plain.usage is not None
    assert answer.usage.input_tokens == plain.usage.input_tokens
    assert answer.prompt is not None
    assert answer.prompt.variables is not None
    assert json.loads(answer.prompt.to_json())["variables"] == variables


WRONG: list[tuple[Any, int, str, str | None]] = [
    ({"id": "nobody"}, 404, "prompt", "prompt_not_found"),
    ({"id": "support", "version": "2", "variables": {"name": "a"}}, 404, "prompt", "prompt_not_found"),
    ({"id": "support", "version": "canary", "variables": {"name": "a"}}, 404, "prompt", "prompt_not_found"),
    ({"id": "support"}, 400, "prompt.variables.name", "missing_required_parameter"),
    ({"id": "support", "variables": {"name": "a", "x": "b"}}, 400, "prompt.variables.x", "unknown_parameter"),
    ({"id": "support", "variables": {"name": 5}}, 400, "prompt.variables.name", "invalid_type"),
    ({"id": "support", "variables": {"name": IMAGE}}, 400, "prompt.variables.name", "invalid_type"),
    ({"id": "support", "variables": {"name": "a" * 21}}, 400, "prompt.variables.name", "string_above_max_length"),
    ({"id": "support", "variables": {"name": "a", "words": "b"}}, 400, "prompt.variables.words", "invalid_type"),
    ({"id": "look", "variables": {"photo": PDF, "paper": PDF}}, 400, "prompt.variables.photo", "invalid_type"),
    ({"id": "look", "variables": {"photo": IMAGE, "paper": PDF}}, 400, "model", "missing_required_parameter"),
    ({"id": "support", "variables": "a"}, 400, "prompt.variables", "invalid_type"),
    ({"id": "support", "version": 1.5}, 400, "prompt.version", "invalid_type"),
    ({"id": 5}, 400, "prompt.id", None),
    ({"id": "support", "more": 1}, 400, "prompt", None),
    ("support", 400, "prompt", "invalid_type"),
]


async def test_what_is_wrong_is_named(client: AsyncOpenAI) -> None:
    for path in ("/chat/completions", "/responses"):
        for prompt, status, param, code in WRONG:
            with pytest.raises(openai.APIStatusError) as wrong:
                await client.post(path, body={"prompt": prompt}, cast_to=object)
            error = wrong.value
            assert (error.status_code, error.param, error.code) == (status, param, code), prompt
            assert error.response.headers["x-should-retry"] == "false"


async def test_versions_are_told_apart_by_number_and_label(gw: RunningGateway, client: AsyncOpenAI) -> None:
    newer = {**SUPPORT, "messages": [{"role": "user", "content": "Bye {{name}}{{ shop[:0] }}{{ words * 0 }}"}]}
    await push(gw, newer, label="canary")

    async def version(**asked: Any) -> str | None:
        prompt: Any = {"id": "support", "variables": {"name": "Ann"}, **asked}
        answer = await client.responses.create(prompt=prompt)
        return answer.prompt.version if answer.prompt else None

    assert [await version(), await version(version="canary")] == ["1", "2"]
    assert [await version(version="1"), await version(version="2"), await version(version=2)] == ["1", "2", "2"]
    await gw.admin("POST", "/admin/prompts/support/labels/production/activate", {"version": 2})
    assert await version() == "2"


# ------------------------------------------------------------------ what the model is sent


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5-mini",
    "prompt": None,
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}],
    "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
}


async def sent(folder: Path, prompt: dict[str, Any], path: str, body: str | dict[str, Any]) -> Any:
    """What the upstream is sent for `body` once `prompt` is pushed."""
    reply = Reply.of(RESPONSE if path == "responses" else chat_body("Hi.", usage=usage(5, 2)))
    async with ScriptedUpstream(reply) as up, gateway(document(up.base_url, folder)) as gw:
        await push(gw, prompt)
        given = body if isinstance(body, str) else json.dumps(body)
        answer = await gw.request("POST", f"/v1/{'responses' if path == 'responses' else path}", body=given.encode())
        assert answer.status == 200, answer.body
        return up.requests[0].json(), up.requests[0].body, answer


async def test_the_upstream_never_sees_the_field(folder: Path) -> None:
    body = '{"prompt": {"id": "support", "variables": {"name": "Ann"}}, "seed": 1E0, "messages": [ {"role":"user",'
    body += ' "content": "\\ud83d", "x":1.10} ], "pr\\u006fmpt_cache_key": "k"}'
    seen, raw, _ = await sent(folder, SUPPORT, "chat/completions", body)
    assert "prompt" not in seen
    assert seen["model"] == "gpt-5-mini"
    assert seen["messages"][:2] == [
        {"role": "developer", "content": "You help customers of Acme."},
        {"role": "user", "content": "Greet Ann in 5 words."},
    ]
    assert seen["prompt_cache_key"] == "k"
    assert b'"seed":1E0' in raw, "what the client wrote stays as it was written"
    assert b'{"role":"user", "content": "\\ud83d", "x":1.10}' in raw


@pytest.mark.parametrize("rest", [', "model": "m", "messages": [{"role": "user", "content": "?"}]', ""])
async def test_a_field_spelled_with_escapes_is_the_field(folder: Path, rest: str) -> None:
    body = '{"pr\\u006fmpt": {"id": "support", "variables": {"name": "Ann"}}' + rest + "}"
    seen, _, _ = await sent(folder, SUPPORT, "chat/completions", body)
    assert "prompt" not in seen
    assert seen["messages"][1]["content"] == "Greet Ann in 5 words."


async def test_a_large_variable_arrives_whole(folder: Path) -> None:
    prompt = {**SUPPORT, "variables": {**SUPPORT["variables"], "name": {"max_chars": 2_000_000}}}  # type: ignore[dict-item]
    name = "Ann " * 300_000 + "\u00e9"
    body = json.dumps({"prompt": {"id": "support", "variables": {"name": name}}, "seed": 1})
    seen, _, _ = await sent(folder, prompt, "chat/completions", body)
    assert seen["seed"] == 1
    assert seen["messages"][1]["content"] == f"Greet {name} in 5 words."


async def test_the_request_sets_what_it_likes(folder: Path) -> None:
    weather = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    parameters = {"temperature": 0.1, "top_p": 0.2, "max_tokens": 9, "verbosity": "low", "stream": True}
    prompt = {**SUPPORT, "parameters": parameters, "tools": [weather], "response_format": schema}
    own = {"prompt": {"id": "support", "variables": {"name": "Ann"}}, "temperature": 0.9, "model": "gpt-5-nano"}
    seen, _, _ = await sent(folder, prompt, "responses", {**own, "input": "Hello", "top_p": None})
    assert seen == {
        "model": "gpt-5-nano",
        "temperature": 0.9,
        "top_p": 0.2,
        "max_output_tokens": 9,
        "instructions": "You help customers of Acme.",
        "input": [{"role": "user", "content": "Greet Ann in 5 words."}, {"role": "user", "content": "Hello"}],
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
    }


async def test_instructions_of_the_request_stand_beside_the_prompts_own(folder: Path) -> None:
    own = {"prompt": {"id": "support", "variables": {"name": "Ann"}}, "instructions": "Be brief."}
    seen, _, answer = await sent(folder, SUPPORT, "responses", {**own, "input": [{"role": "user", "content": "?"}]})
    assert seen["instructions"] == "Be brief."
    assert [item["content"] for item in seen["input"]] == ["You help customers of Acme.", "Greet Ann in 5 words.", "?"]
    assert answer.json()["prompt"]["variables"] == {"name": "Ann"}


async def test_chat_takes_images_and_files_in_its_own_form(folder: Path) -> None:
    body = {"model": "gpt-5-mini", "prompt": {"id": "look", "variables": {"photo": IMAGE, "paper": PDF}}}
    seen, _, _ = await sent(folder, LOOK, "chat/completions", body)
    assert seen["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in "},
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}},
                {"type": "text", "text": "\nand in "},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"}},
            ],
        }
    ]


@pytest.mark.parametrize("repeated", ['"id": "support", "id": "look"', '"id": "support", "variables": {"a":1,"a":2}'])
async def test_a_key_that_stands_twice_is_refused(gw: RunningGateway, repeated: str) -> None:
    answer = await gw.request("POST", "/v1/responses", body=f'{{"prompt": {{{repeated}}}}}'.encode())
    assert (answer.status, answer.error["param"]) == (400, "prompt")


# ------------------------------------------------------------------ the policy, and what comes after


EXPENSIVE = "Answer based on: {{ context }} \n Question: {{ question }}"
"""The space that cost $12,000."""


async def test_a_push_of_what_lint_refuses_is_refused(gw: RunningGateway) -> None:
    variables: dict[str, Any] = {"context": {}, "question": {}}
    rag = {"name": "rag", "messages": [{"role": "user", "content": EXPENSIVE}], "variables": variables}
    refused = await gw.admin("POST", "/admin/prompts", {"document": rag})
    assert (refused.status, refused.error["code"], refused.error["param"]) == (400, "prompt_lint", "document")
    assert "messages[0], line 1: blanks beside a variable" in refused.error["message"]
    assert (await gw.admin("GET", "/admin/prompts/rag")).status == 404
    forced = await gw.admin("POST", "/admin/prompts", {"document": rag, "force": True})
    (finding,) = forced.json()["findings"]
    assert (finding["rule"], finding["tokens"], finding["usd_per_million_requests"]) == ("space-by-variable", 1, 0.25)


async def policed(folder: Path, policy: dict[str, Any], content: str = EXPENSIVE, **variables: str) -> Any:
    prompt = {
        "name": "rag",
        "model": "gpt-5-mini",
        "messages": [{"role": "user", "content": content}],
        "variables": {"context": {}, "question": {}},
        **policy,
    }
    reply = Reply.of(chat_body("Hi.", usage=usage(5, 2)))
    async with ScriptedUpstream(reply) as up, gateway(document(up.base_url, folder)) as gw:
        await push(gw, prompt)
        asked = {"prompt": {"id": "rag", "variables": {"context": "c", "question": "q", **variables}}}
        answer = await gw.request("POST", "/v1/chat/completions", body=json.dumps(asked).encode())
        return answer, [seen.json()["messages"][0]["content"] for seen in up.requests]


async def test_blanks_are_trimmed(folder: Path) -> None:
    answer, seen = await policed(folder, {"whitespace": "trim"}, question="q \n\n")
    assert seen == ["Answer based on: c\n Question: q"]
    assert "x-gateway-prompt-warnings" not in answer.headers


async def test_blanks_are_refused(folder: Path) -> None:
    answer, seen = await policed(folder, {"whitespace": "reject"})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "prompt_whitespace", "prompt")
    assert answer.headers["x-gateway-prompt"] == "rag@1"
    assert seen == []


async def test_blanks_are_warned_of(folder: Path) -> None:
    answer, seen = await policed(folder, {"whitespace": "warn"})
    assert answer.headers["x-gateway-prompt-warnings"] == "whitespace"
    assert seen == ["Answer based on: c \n Question: q"]


async def test_a_prompt_over_its_budget_is_refused(folder: Path) -> None:
    answer, seen = await policed(folder, {"token_budget": 100}, context="word " * 200)
    assert (answer.status, answer.error["code"]) == (400, "prompt_over_budget")
    assert "its budget of 100" in answer.error["message"]
    assert seen == []


async def test_a_prompt_over_its_budget_is_warned_of(folder: Path) -> None:
    policy = {"token_budget": 100, "over_budget": "warn"}
    answer, seen = await policed(folder, policy, context="word " * 200)
    assert answer.headers["x-gateway-prompt-warnings"] == "over_budget"
    assert len(seen) == 1


async def test_a_prompt_within_its_budget_passes(folder: Path) -> None:
    answer, _ = await policed(folder, {"token_budget": 300, "whitespace": "warn"}, context="word " * 200)
    assert answer.headers["x-gateway-prompt-warnings"] == "whitespace"


async def test_equal_prompts_are_one_cache_entry_and_each_is_told_its_own(folder: Path) -> None:
    async with ScriptedUpstream(Reply.of(RESPONSE)) as up:
        cached = document(up.base_url, folder)
        cached["routes"] = [{"name": "default", "upstream": "up", "cache": {}}]
        async with gateway(cached) as gw:
            await push(gw, SUPPORT)
            answers = []
            for number, stream in enumerate((False, False, True)):
                variables: dict[str, Any] = {"name": "Ann", "words": [5, "5", 5][number]}
                asked = {"prompt": {"id": "support", "variables": variables}, "store": False, "stream": stream}
                answers.append(await gw.request("POST", "/v1/responses", body=json.dumps(asked).encode()))
        assert len(up.requests) == 1
        assert [answer.headers["Cache-Status"].split(";")[1] for answer in answers] == [" fwd=miss", " hit", " hit"]
        told = [answer.json()["prompt"]["variables"]["words"] for answer in answers[:2]]
        assert told == [5, "5"]
        events = [json.loads(line[6:]) for line in answers[2].body.decode().split("\n") if line.startswith("data: ")]
        assert {event["response"]["prompt"]["version"] for event in events if "response" in event} == {"1"}


async def test_a_prompts_model_is_no_way_around_what_a_key_may_use(folder: Path) -> None:
    async with ScriptedUpstream(then=Reply.of(chat_body("Hi.", usage=usage(5, 2)))) as up:
        keys = [{"name": "small", "key": "key-of-small", "models": ["gpt-5-nano"], "routes": ["default"]}]
        routes = [
            {"name": "mini", "match": {"models": ["gpt-5-mini"]}, "upstream": "up"},
            {"name": "default", "upstream": "up"},
        ]
        strict = {**document(up.base_url, folder), "auth": "required", "keys": keys, "routes": routes}
        async with gateway(strict) as gw:
            await push(gw, SUPPORT)
            for model, status in ((None, 404), ("gpt-5-nano", 200)):
                asked = {"prompt": {"id": "support", "variables": {"name": "Ann"}}, "model": model}
                answer = await gw.request(
                    "POST", "/v1/chat/completions", body=json.dumps(asked).encode(), headers=BEARER
                )
                assert answer.status == status, answer.body
            assert [seen.json()["model"] for seen in up.requests] == ["gpt-5-nano"]


async def test_without_prompts_the_field_is_the_upstreams(folder: Path) -> None:
    async with ScriptedUpstream(Reply.of(RESPONSE)) as up, gateway(document(up.base_url, folder)) as gw:
        asked = {"model": "gpt-5-mini", "prompt": {"id": "pmpt_1"}}
        answer = await gw.request("POST", "/v1/responses", body=json.dumps(asked).encode())
        assert (answer.status, up.requests[0].json()) == (200, asked)
        assert "x-gateway-prompt" not in answer.headers
