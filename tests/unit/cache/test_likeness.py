"""What requests must have in common before their questions are compared."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.cache.likeness import Likeness, likeness_of
from gateway.values import Decision, Request, Target
from gateway.wire.endpoints import ENDPOINTS

SMALL = Decision((Target("up", "small"),), "cheap", "route")
LARGE = Decision((Target("up", "large"),), "cheap", "route")
ASKED = "How do I reset my password?"
OTHERWISE = "How can I reset my password, please?"


def read(endpoint: str, fields: dict[str, Any]) -> Request:
    return next(each for each in ENDPOINTS if each.name == endpoint).parse(json.dumps(fields).encode(), fields)


def chat(*messages: dict[str, Any], **fields: Any) -> Request:
    return read("chat", {"model": "m", "messages": list(messages), **fields})


def user(content: Any = ASKED, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def alike(request: Request, decision: Decision = SMALL, **place: str) -> Likeness | None:
    return likeness_of(request, decision, **{"route": "r", "scope": "team:red", **place})


def partition(request: Request, decision: Decision = SMALL, **place: str) -> str:
    found = alike(request, decision, **place)
    assert found is not None
    return found.partition


def test_the_last_question_alone_makes_no_other_partition() -> None:
    assert partition(chat(user(ASKED))) == partition(chat(user(OTHERWISE)))
    found = alike(chat(user(ASKED), stream=True, user="someone"))
    assert found is not None
    assert found.text == ASKED
    assert found.partition == partition(chat(user(ASKED)))


@pytest.mark.parametrize(
    "other",
    [
        chat({"role": "system", "content": "Be brief."}, user()),
        chat(user("How are you doing?"), {"role": "assistant", "content": "Well."}, user()),
        chat(user(name="bob")),
        chat(user([{"type": "text", "text": ASKED}])),
        chat(user(), temperature=0),
        chat(user(), seed=1),
        chat(user(), max_tokens=5),
        chat(user(), response_format={"type": "json_object"}),
        chat(user(), tools=[{"type": "function", "function": {"name": "f"}}]),
        chat(user(), unheard_of=True),
        replace(chat(user()), edits={"max_tokens": 5}),
        replace(chat(user()), completion_cap=5),
        read("responses", {"model": "m", "input": ASKED}),
    ],
)
def test_whatever_else_differs_makes_another_partition(other: Request) -> None:
    assert partition(other) != partition(chat(user()))


def test_route_scope_targets_and_beta_make_another_partition() -> None:
    mine = chat(user())
    others = [
        partition(mine, route="other"),
        partition(mine, scope="team:blue"),
        partition(mine, LARGE),
        partition(mine, beta="assistants=v2"),
    ]
    assert len({partition(mine), *others}) == 5


def test_a_trimmed_question_is_compared_as_it_is_sent() -> None:
    trimmed = replace(chat(user("  " + OTHERWISE)), edits={"messages": [user(OTHERWISE)]})
    found = alike(trimmed)
    assert found is not None
    assert found.text == OTHERWISE
    assert found.partition == partition(chat(user()))


@pytest.mark.parametrize(
    "request_",
    [
        chat(user([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": {"url": "data:"}}])),
        chat(user([{"type": "text", "text": ASKED}, {"type": "text", "text": ASKED}])),
        chat(
            user([{"type": "image_url", "image_url": {"url": "data:"}}]), {"role": "assistant", "content": "A."}, user()
        ),
        chat(user(), {"role": "assistant", "content": "Well, it is"}),
        chat(
            user(),
            {"role": "assistant", "content": None, "tool_calls": [{}]},
            {"role": "tool", "content": "42"},
            user(),
        ),
        chat(user("Wie setze ich mein Passwort zurück?")),
        chat(user(""), seed=1),
        chat(user(), n=2),
        read("responses", {"model": "m", "input": [{"type": "function_call_output", "output": "42"}, user()]}),
        read("embeddings", {"model": "m", "input": ASKED}),
        read("completions", {"model": "m", "prompt": ASKED}),
    ],
)
def test_anything_but_one_plain_question_is_left_alone(request_: Request) -> None:
    assert alike(request_) is None


def test_a_request_that_parsing_may_have_changed_is_left_alone() -> None:
    fields = {"model": "m", "messages": [user()], "extra": 2}
    body = json.dumps(fields).replace('"extra"', '"extra": 1, "extra"').encode()
    assert alike(read("chat", fields)) is not None
    assert alike(replace(read("chat", fields), body=body)) is None


def test_a_response_asks_with_text_or_items() -> None:
    text = read("responses", {"model": "m", "input": ASKED})
    items = read("responses", {"model": "m", "input": [user([{"type": "input_text", "text": ASKED}])]})
    assert [getattr(alike(each), "text", None) for each in (text, items)] == [ASKED, ASKED]
    assert partition(text) == partition(read("responses", {"model": "m", "input": OTHERWISE}))
