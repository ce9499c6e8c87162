"""Who may share an answer: everything that can change it splits, nothing else does, nobody else's is reached."""

import json
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cache.key import bypass_reason, cache_key, scope_of
from gateway.values import Caller, Decision, Request, Target

BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": 'Say "hello" in Norwegian.'}],
    "temperature": 0.2,
}
CHEAP = Decision((Target("openai", "gpt-4o-mini"),), "cheap", "rule")


def sent(body: bytes | dict[str, Any], **more: Any) -> Request:
    """A request as the wire parses it."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        fields = json.loads(raw)
    return Request(**{"endpoint": "chat", "body": raw, "fields": fields, "model": "gpt-4o-mini", **more})


def name(request: Request, decision: Decision = CHEAP, scope: str = "key:support-bot", route: str = "support") -> str:
    return cache_key(request, decision, route=route, scope=scope).name


# ------------------------------------------------------------------ equal requests


@pytest.mark.parametrize(
    "same",
    [
        dict(reversed(BODY.items())),
        json.dumps(BODY, indent=4).encode(),
        orjson.dumps(BODY).replace(b"hello", rb"h\u0065llo"),
        orjson.dumps(BODY).replace(rb"\"", rb"\u0022"),
        orjson.dumps(BODY).replace(b"0.2", b"2e-1"),
        {**BODY, "stream": True, "stream_options": {"include_usage": True}},
        {**BODY, "user": "u-1", "metadata": {"ticket": '"7"'}, "safety_identifier": "s", "prompt_cache_key": "p"},
    ],
    ids=["key order", "spacing", "escaped letter", "escaped quote", "number format", "stream", "bookkeeping"],
)
def test_requests_that_mean_the_same_share_an_answer(same: bytes | dict[str, Any]) -> None:
    assert name(sent(same)) == name(sent(BODY))


def test_a_cap_applied_by_the_gateway_equals_one_sent_by_the_client() -> None:
    capped = sent({**BODY, "max_tokens": 900}, edits={"max_tokens": 500}, completion_cap=500)
    modest = sent({**BODY, "max_tokens": 500}, completion_cap=500)
    assert name(capped) == name(modest)


# ------------------------------------------------------------------ different requests


@pytest.mark.parametrize(
    "other",
    [
        {**BODY, "temperature": 0.3},
        {**BODY, "temperature": 0},
        {**BODY, "temperature": False},
        {**BODY, "seed": 1},
        {**BODY, "seed": True},
        {**BODY, "n": 2},
        {**BODY, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {**BODY, "response_format": {"type": "json_object"}},
        {**BODY, "model": "gpt-4o"},
        {**BODY, "x_unknown": None},
        {**BODY, "messages": [*BODY["messages"], {"role": "assistant", "content": "Hei"}]},
        {**BODY, "messages": [{"role": "system", "content": 'Say "hello" in Norwegian.'}]},
        {**BODY, "messages": [{"role": "user", "content": 'Say "hello"  in Norwegian.'}]},
    ],
)
def test_whatever_can_change_the_answer_makes_another_entry(other: dict[str, Any]) -> None:
    assert name(sent(other)) != name(sent(BODY))


def test_numbers_that_only_python_takes_for_equal_are_told_apart() -> None:
    names = {name(sent({**BODY, "seed": value})) for value in (1, 1.0, True, "1")}
    assert len(names) == 4


def test_targets_their_order_the_endpoint_and_the_cap_are_part_of_the_key() -> None:
    a, b = Target("openai", "gpt-4o"), Target("backup", "gpt-4o")
    names = {
        name(sent(BODY)),
        name(sent(BODY), Decision((a, b), "cheap", "rule")),
        name(sent(BODY), Decision((b, a), "cheap", "rule")),
        name(sent(BODY, endpoint="responses")),
        name(sent(BODY, completion_cap=500)),
    }
    assert len(names) == 5


def test_why_the_router_decided_is_not_part_of_the_key() -> None:
    asked = Decision(CHEAP.targets, "cheap", "classifier", probability=0.12)
    assert name(sent(BODY), asked) == name(sent(BODY))


# ------------------------------------------------------------------ requests that parsing may misrepresent


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"evil","content":"good"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"good"}],"seed":1,"seed":1}',
        b'{"model":"m","messages":[{"role":"user","c\\u0022":1,"c\\u0022":2,"content":"good"}]}',
    ],
    ids=["content twice", "seed twice", "escaped name twice"],
)
def test_a_member_that_stands_twice_cannot_pass_for_the_request_it_parses_as(body: bytes) -> None:
    twice = sent(body)
    plain = sent(orjson.dumps(twice.fields))
    assert name(twice) != name(plain)
    assert name(twice) == name(sent(body))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"model":"m","seed":18446744073709551617}', b'{"model":"m","seed":18446744073709551618}'),
        (b'{"model":"m","x":"\\ud800"}', b'{"model":"m","x":"\\ud801"}'),
        (
            b'{"model":"m","x":"\\ud800","n":18446744073709551617}',
            b'{"model":"m","x":"\\ud800","n":18446744073709551618}',
        ),
        (b'{"model":"m","x":' + b"[" * 300 + b"]" * 300 + b"}", b'{"model":"m","x":' + b"[" * 301 + b"]" * 301 + b"}"),
    ],
    ids=["integers a double cannot tell apart", "half surrogate pairs", "both", "deep nesting"],
)
def test_what_orjson_cannot_write_is_still_told_apart_and_found_again(one: bytes, other: bytes) -> None:
    assert name(sent(one)) == name(sent(one))
    assert name(sent(one)) != name(sent(other))
    assert name(sent(one, edits={"max_tokens": 5})) != name(sent(one, edits={"max_tokens": 6}))


def nested(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)

    return st.recursive(scalars, containers, max_leaves=8)


plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e15, 1e15) | st.text()
huge = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)


@given(nested(plain | huge), nested(plain | huge))
def test_requests_that_share_an_answer_are_the_same_json(one: Any, other: Any) -> None:
    def canonical(value: Any) -> str:
        return json.dumps(value, sort_keys=True)

    shares = name(sent(json.dumps({"x": one}).encode())) == name(sent(json.dumps({"x": other}).encode()))
    assert shares == (canonical(one) == canonical(other))


@given(nested(plain), st.sampled_from([None, 2]), st.booleans())
def test_the_same_json_spelled_otherwise_shares_the_answer(value: Any, indent: int | None, is_ascii: bool) -> None:
    spelled = json.dumps({"x": value, "y": 0}, indent=indent, ensure_ascii=is_ascii).encode()
    otherwise = json.dumps({"y": 0, "x": value}, separators=(",", ":")).encode()
    assert name(sent(spelled)) == name(sent(otherwise))


# ------------------------------------------------------------------ pairs of whole requests


@dataclass(frozen=True)
class Asked:
    """A request with everything around it."""

    key: str
    team: str | None
    share: Literal["key", "team", "everyone"]
    route: str
    endpoint: str
    targets: tuple[str, ...]
    beta: str
    body: dict[str, Any]
    """Of what can change an answer."""
    form: dict[str, Any]
    """Of what cannot."""
    indent: int | None

    @property
    def name(self) -> str:
        fields = {**self.form, **self.body}
        request = sent(json.dumps(fields, indent=self.indent).encode(), endpoint=self.endpoint)
        decision = Decision(tuple(Target.parse(text) for text in self.targets), "cheap", "rule")
        scope = scope_of(Caller(self.key, team=self.team), self.share)
        return cache_key(request, decision, route=self.route, scope=scope, beta=self.beta).name

    @property
    def identity(self) -> tuple[object, ...]:
        """What must be equal for an answer to be shared, worked out another way than the key is."""
        sharers = {"key": ("key", self.key), "team": ("team", self.team or f"nobody but {self.key}"), "everyone": ()}
        alone = ("key", self.key) if self.share == "team" and self.team is None else sharers[self.share]
        body = json.dumps(self.body, sort_keys=True)
        form = json.dumps(self.form, sort_keys=True) if self.endpoint == "responses" else ""
        return alone, self.route, self.endpoint, self.targets, self.beta, body, form


def of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


asked = st.builds(
    Asked,
    key=of("a", "b"),
    team=of(None, "red", "a"),
    share=of("key", "team", "everyone"),
    route=of("support", "sales"),
    endpoint=of("chat", "responses"),
    targets=of(("up/m",), ("up/m", "up/n"), ("up/n", "up/m")),
    beta=of("", "", "assistants=v2"),
    body=st.fixed_dictionaries(
        {"model": of("m"), "messages": of([{"role": "user", "content": "hi"}], [{"role": "user", "content": "hi "}])},
        optional={
            "temperature": of(0, 0.0, 1, 0.5),
            "seed": of(1, None, "1"),
            "n": of(1, 2),
            "tools": of([], [{"type": "function", "function": {"name": "f"}}]),
            "response_format": of({"type": "json_object"}, {"type": "text"}),
            "of_next_year": of(True, {"a": [1, 2]}, {"a": [2, 1]}),
        },
    ),
    form=st.fixed_dictionaries({}, optional={"user": of("u", "v"), "metadata": of({}, {"x": "y"})}),
    indent=of(None, 1),
)


@given(asked, st.data())
@settings(max_examples=600)
def test_pairs_of_requests_share_exactly_what_they_may(one: Asked, data: st.DataObject) -> None:
    """No false sharing and no needless split; most pairs differ in one thing or in none."""
    other = data.draw(asked)
    thing = data.draw(of(*(field.name for field in fields(Asked)), "all"))
    if thing != "all":
        other = replace(one, **{thing: getattr(other, thing)})
    assert (one.name == other.name) == (one.identity == other.identity)


# ------------------------------------------------------------------ scopes


def test_scopes_follow_the_policy_and_the_caller() -> None:
    bot, loner = Caller("support-bot", team="support"), Caller("loner")
    assert scope_of(bot, "key") == "key:support-bot"
    assert scope_of(bot, "team") == "team:support"
    assert scope_of(bot, "everyone") == "everyone"
    assert scope_of(loner, "team") == "key:loner"
    assert scope_of(loner, "everyone") == "everyone"


def test_scopes_never_share_and_show_in_the_name() -> None:
    scopes = ("key:support", "team:support", "everyone", "key:everyone")
    names = [name(sent(BODY), scope=scope).split(":") for scope in scopes]
    assert len({parts[3] for parts in names}) == 4
    assert len({parts[4] for parts in names}) == 4
    assert all(parts[:3] == names[0][:3] for parts in names)
    assert name(sent({**BODY, "seed": 5}), scope="everyone").split(":")[3] == names[2][3]


def test_routes_never_share_and_show_in_the_name() -> None:
    one, other = (name(sent(BODY), route=route).split(":") for route in ("support", "sales"))
    assert one[:2] == other[:2] == ["gw", "cache"]
    assert one[2] != other[2]
    assert one[3] == other[3]
    assert one[4] != other[4]


def test_a_name_holds_hashes_only() -> None:
    _, _, route, scope, digest = name(sent(BODY)).split(":")
    assert (len(route), len(scope), len(digest)) == (16, 16, 64)
    assert set(route + scope + digest) <= set("0123456789abcdef")


# ------------------------------------------------------------------ bypass


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"store": True}, "stores_upstream"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, "hosted_tool"),
        ({"tools": [{"type": "mcp", "server_url": "https://example.com"}]}, "hosted_tool"),
        ({"tools": [{"type": "of_next_year"}]}, "hosted_tool"),
        ({"web_search_options": {}}, "hosted_tool"),
        ({"modalities": ["text", "audio"]}, "audio"),
    ],
)
def test_requests_that_make_or_use_state_upstream_bypass_the_cache(more: dict[str, Any], reason: str) -> None:
    assert bypass_reason(sent({**BODY, **more})) == reason


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 2},
        {"store": False},
        {"store": None, "previous_response_id": None, "background": False, "modalities": ["text"]},
        {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]},
        {"tools": "nonsense", "modalities": 7},
    ],
)
def test_other_requests_may_be_cached(more: dict[str, Any]) -> None:
    assert bypass_reason(sent({**BODY, **more})) is None


def test_the_responses_api_stores_unless_told_not_to() -> None:
    assert bypass_reason(sent(BODY, endpoint="responses")) == "stores_upstream"
    assert bypass_reason(sent({**BODY, "store": False}, endpoint="responses")) is None


def test_a_stored_prompt_of_the_responses_api_may_change_at_any_time() -> None:
    stored = {**BODY, "store": False, "prompt": {"id": "pmpt_1"}}
    assert bypass_reason(sent(stored, endpoint="responses")) == "stored_prompt"
    assert bypass_reason(sent({**BODY, "prompt": "Once"}, endpoint="completions")) is None


def test_what_the_responses_api_repeats_in_its_answer_is_never_served_to_another() -> None:
    one, other = ({**BODY, "metadata": {"ticket": number}, "user": "u"} for number in ("7", "8"))
    assert name(sent(one)) == name(sent(other))
    assert name(sent(one, endpoint="responses")) != name(sent(other, endpoint="responses"))
    streamed = {**one, "stream": True}
    assert name(sent(one, endpoint="responses")) == name(sent(streamed, endpoint="responses"))
