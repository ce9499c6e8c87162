import json

from gateway.tokens.rewrite import messages_of, rewritten
from gateway.values import Request

BODY = rb"""{ "model": "gpt-4o", "messages" : [ {"role":"system","content":"s"} ,
  {"role": "user",  "content": "caf\u00e9 1", "x": 1.0e2}, {"role":"assistant","content":"ok"},
  {"role":"user","content":"last \" ] }"} ], "seed": 1.50 }"""


def request(body: bytes = BODY, endpoint: str = "chat") -> Request:
    return Request(endpoint, body, json.loads(body), "gpt-4o")


def test_dropped_messages_go_and_every_other_byte_stays() -> None:
    shorter = rewritten(request(), dropped=[2])
    assert shorter.body == (
        rb"""{ "model": "gpt-4o", "messages" : [{"role":"system","content":"s"},"""
        rb"""{"role": "user",  "content": "caf\u00e9 1", "x": 1.0e2},"""
        rb"""{"role":"user","content":"last \" ] }"}], "seed": 1.50 }"""
    )
    assert shorter.fields == json.loads(shorter.body)


def test_changed_fields_are_spliced_into_their_message() -> None:
    changed = rewritten(request(), changed={1: {"content": "tea"}})
    assert rb'{"role": "user",  "content": "tea", "x": 1.0e2}' in changed.body
    assert changed.fields == json.loads(changed.body)


def test_responses_have_their_messages_in_input() -> None:
    body = b'{"input":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}'
    assert rewritten(request(body, "responses"), dropped=[0]).body == b'{"input":[{"role":"user","content":"b"}]}'


def test_an_input_that_is_a_string_has_no_messages() -> None:
    assert messages_of(request(b'{"input":"hi"}', "responses")) == []
    assert messages_of(request(b'{"input":"hi"}', "embeddings")) == []
