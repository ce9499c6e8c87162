"""What people are told: the exact lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.load import load
from gateway.config.money import CostBreaker
from gateway.errors import ConfigError
from tests.support.config import SMALL, problems, read


def test_the_least_that_holds() -> None:
    loaded = read(SMALL)
    assert loaded.config.upstreams["openai"].base_url == "https://api.openai.com/v1"
    assert loaded.config.routes[0].match.models == ("*",)
    assert loaded.source == "gateway.yaml"
    assert loaded.warnings == ()


def test_every_problem_is_told_at_once_each_with_line_path_expected_and_got() -> None:
    text = """\
server:
  port: 80a
  max_in_flight: 0
upstreams:
  openai:
    base_url: https://api.openai.com/v1
    connect_timeout_s: 10s
    idle_timeout_s: 100000
    stream_usage: yes
    max_conections: 5
  second:
    max_connections: 0.5
tiers:
  cheap: [opnai/gpt-5-mini, gpt-5-mini]
  medium: [openai/gpt-5.2]
routes:
  - name: support desk
    tier: cheep
    ttl_s: 60
    tokens: {over_prompt: rejct}
    match: {models: []}
  - name: default
  - default
auth: none
keys:
  - {name: bot, key: short, team: suport}
prices: 5
storage: memory
"""
    assert problems(text) == [
        "gateway.yaml:2: server.port: expected a whole number between 0 and 65,535, got '80a'",
        "gateway.yaml:3: server.max_in_flight: expected a whole number >= 1, got 0",
        "gateway.yaml:7: upstreams.openai.connect_timeout_s: expected a number of seconds > 0, got '10s'",
        "gateway.yaml:8: upstreams.openai.idle_timeout_s: expected a number of seconds > 0 and <= 86,400, got 100000",
        "gateway.yaml:9: upstreams.openai.stream_usage: expected true or false, got 'yes'",
        (
            "gateway.yaml:10: upstreams.openai.max_conections: expected a known key, got 'max_conections'"
            " (did you mean 'max_connections'?)"
        ),
        (
            "gateway.yaml:11: upstreams.second.base_url: expected text such as 'https://api.openai.com/v1'"
            r" (matching ^https?://[^\s?#@]+$), got nothing"
        ),
        "gateway.yaml:12: upstreams.second.max_connections: expected a whole number >= 1, got 0.5",
        "gateway.yaml:14: tiers.cheap[0]: expected a name from `upstreams`, got 'opnai' (did you mean 'openai'?)",
        "gateway.yaml:14: tiers.cheap[1]: expected upstream/model, such as 'openai/gpt-5-mini', got 'gpt-5-mini'",
        "gateway.yaml:15: tiers.medium: expected one of cheap, expensive, got 'medium'",
        (
            "gateway.yaml:17: routes[0].name: expected text such as 'support-bot'"
            " (matching ^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$), got 'support desk'"
        ),
        "gateway.yaml:18: routes[0].tier: expected 'auto', 'cheap' or 'expensive', got 'cheep' (did you mean 'cheap'?)",
        "gateway.yaml:19: routes[0].ttl_s: expected a known key, got 'ttl_s' (did you mean 'cache.ttl_s'?)",
        (
            "gateway.yaml:20: routes[0].tokens.over_prompt: expected 'reject' or 'drop_oldest', got 'rejct'"
            " (did you mean 'reject'?)"
        ),
        "gateway.yaml:21: routes[0].match.models: expected at least 1 entry, got 0",
        "gateway.yaml:22: routes[1]: expected either tier or upstream, got a mapping with 'name'",
        "gateway.yaml:23: routes[2]: expected a mapping, got text",
        (
            "gateway.yaml:26: keys[0].key: expected a secret of at least 8 characters (is its variable set?),"
            " got a value that is not shown"
        ),
        "gateway.yaml:26: keys[0].team: expected a name from `teams`, got 'suport'",
        "gateway.yaml:27: prices: expected a mapping, got 5",
        "gateway.yaml:28: storage: expected a known key, got 'storage' (did you mean 'store'?)",
    ]


def test_a_problem_that_another_one_causes_is_not_told() -> None:
    text = """\
auth: requird
upstreams:
  openai: {base_url: ${BASE_URL}}
tiers:
  cheap: [openai/gpt-5-mini, 7]
routes:
  - {name: 5, tier: cheap}
  - {name: default, upstream: openai}
keys:
  - {name: bot, key: ${BOT_KEY}, routes: [five]}
"""
    assert problems(text) == [
        "gateway.yaml:1: auth: expected 'required', 'passthrough' or 'none', got 'requird' (did you mean 'required'?)",
        "gateway.yaml:3: upstreams.openai.base_url: expected ${BASE_URL} to be set in the environment, got nothing",
        "gateway.yaml:5: tiers.cheap[1]: expected text, got 7",
        (
            "gateway.yaml:7: routes[0].name: expected text such as 'support-bot'"
            " (matching ^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$), got 5"
        ),
        "gateway.yaml:10: keys[0].key: expected ${BOT_KEY} to be set in the environment, got nothing",
        "gateway.yaml:10: keys[0].routes[0]: expected a name from `routes`, got 'five'",
    ]


def test_an_empty_file_lacks_what_is_required() -> None:
    assert problems("") == [
        "gateway.yaml:1: upstreams: expected a mapping, got nothing",
        "gateway.yaml:1: routes: expected a list, got nothing",
        (
            "gateway.yaml:1: keys: expected at least one key, or server.admin.key with a ledger to issue some"
            " (without keys: auth: passthrough, or auth: none on loopback), got none"
        ),
    ]


def test_a_slip_in_yaml_hides_no_other_problem() -> None:
    assert problems(SMALL.replace('"}', "}") + "unknown_price: maybe\n") == [
        (
            "gateway.yaml:3: upstreams: expected YAML: found unexpected end of stream while scanning a quoted scalar"
            " that began on line 3"
        ),
        "gateway.yaml:6: unknown_price: expected 'flag' or 'reject', got 'maybe'",
    ]


def test_a_number_beyond_64_bits_is_out_of_bounds() -> None:
    (problem,) = problems(SMALL + "server: {port: 99999999999999999999999}\n")
    assert problem.startswith("gateway.yaml:6: server.port: expected a whole number between 0 and 65,535, got 9999")


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "line",
    [
        "keys: [{name: ${S}, key: ${S}, team: ${S}}]",
        "keys: [{name: bot, key: [${S}]}]",
        f"keys: [{{name: bot, key: [{SECRET}]}}]",
        f"keys: [{{name: bot, key: {{{SECRET}: 1}}}}]",
        f"keys: [{{name: bot, kee: {SECRET}}}]",
        "server: {port: ${S}, host: ${S}}",
        f"server: {{admin: {{key: [{SECRET}]}}}}",
        f"store: rediss:/:{SECRET}@redis",
        "tiers: {cheap: [${S}]}",
        "auth: ${S}",
        f"prices: {SECRET}",
        "unknown_price: x-${S}",
    ],
)
def test_no_message_shows_a_secret_or_a_substituted_value(line: str) -> None:
    text = SMALL.replace("auth: none\n", "") if line.startswith("auth") else SMALL
    lines = problems(text + line + "\n", S=SECRET)
    assert lines
    assert SECRET not in "\n".join(lines)


@pytest.mark.parametrize(
    "line",
    [
        f"headers: {{Authorization: [{SECRET}]}}",
        f"headers: {{Authorization: {{{SECRET}: 1}}}}",
        f"query: {{key: [{SECRET}]}}",
        f"api_key: [{SECRET}]",
        f"base_url: https://api/v1?key={SECRET}",
        f"base_url: https://user:{SECRET}@api/v1",
    ],
)
def test_no_message_shows_what_is_sent_to_an_upstream(line: str) -> None:
    lines = problems(f"auth: none\nupstreams:\n  a:\n    {line}\nroutes: [{{name: x, upstream: a}}]\n")
    assert lines
    assert SECRET not in "\n".join(lines)


def test_a_loaded_config_does_not_show_its_secrets() -> None:
    text = SMALL.replace('v1"}', f'v1", api_key: {SECRET}, headers: {{x: {SECRET}}}, query: {{y: {SECRET}}}}}')
    loaded = read(text + f"store: redis://:{SECRET}@redis\nkeys: [{{name: bot, key: {SECRET}}}]\n")
    assert SECRET not in repr(loaded)


def test_the_hash_follows_the_text_and_no_secret() -> None:
    text = SMALL + "server: {admin: {key: ${KEY}}}\n"
    assert read(SMALL).hash == "98f81e166dc4"
    assert read(text, KEY="one-secret").hash == read(text, KEY="another-one").hash
    assert read(text, KEY="one-secret").hash != read(SMALL).hash


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.yaml: expected a readable file, got: No such file or directory"):
        load(tmp_path / "gateway.yaml", {})


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(ConfigError, match=r"gateway\.yaml:2: expected UTF-8 text, got the byte 0xe9"):
        load(tmp_path / "gateway.yaml", {})


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load(tmp_path / "gateway.yaml", {}).source == str(tmp_path / "gateway.yaml")


sections = ["server", "upstreams", "tiers", "routes", "teams", "keys", "prices", "auth", "store"]
keys = st.sampled_from([*sections, "name", "key", "base_url", "match", "models", "openai", "cheap", "x"])
values = st.recursive(
    st.one_of(
        st.sampled_from(["openai", "auto", "cheap", "none", "${A}", "${B}", "''", "*", "openai/x", "1", "-1", "1.5"]),
        st.sampled_from(["null", "true", "[]", "{}", ".inf", "&a x", "*a", "!!int x", "https://x/v1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(keys, inner, max_size=4).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        ),
    ),
    max_leaves=12,
)


def as_lines(entries: dict[str, str]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in entries.items())


@given(st.one_of(st.dictionaries(keys, values, max_size=6).map(as_lines), st.text()))
def test_nothing_but_a_config_error_is_ever_raised(text: str) -> None:
    for base in ("", SMALL):
        lines = problems(base + text, A="secret-of-a")
        assert all(line.startswith("gateway.yaml") for line in lines)
        assert "secret-of-a" not in "\n".join(lines)


@given(st.text(alphabet=st.characters(codec=None), max_size=20))
def test_nor_by_a_lone_surrogate(text: str) -> None:
    problems(text)


def test_one_line_turns_the_cost_breaker_on() -> None:
    assert read(SMALL).config.cost_breaker is None
    assert read(SMALL + "cost_breaker: false\n").config.cost_breaker is None
    assert read(SMALL + "cost_breaker: true\n").config.cost_breaker == CostBreaker()
    assert read(SMALL + "cost_breaker: {floor_usd: 5}\n").config.cost_breaker == CostBreaker(floor_usd=5)
    assert problems(SMALL + "cost_breaker: 5\n") == ["gateway.yaml:6: cost_breaker: expected a mapping, got 5"]
