from typing import Any

import pytest
from multidict import CIMultiDict

from gateway import __version__
from gateway.config.model import Upstream
from gateway.errors import BadRequest, ConfigError
from gateway.upstream.head import Heads

URL = "https://api.example.com/v1"


def head(
    client: dict[str, str] | CIMultiDict[str] | None = None,
    *,
    method: str = "POST",
    path: str = "/chat/completions",
    query: str = "",
    raw: bool = False,
    **config: Any,
) -> list[str]:
    """The lines of a head as far as it is known without the body."""
    heads = Heads("up", Upstream.model_validate({"base_url": URL, **config}))
    built = heads.start(method, path, query, CIMultiDict(client or {"User-Agent": "x"}), raw=raw)
    lines = built.decode("utf-8", "surrogateescape").split("\r\n")
    assert lines[-1] == ""
    return lines[:-1]


def test_a_plain_request() -> None:
    assert head() == [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: api.example.com",
        "Accept-Encoding: identity",
        "User-Agent: x",
    ]


@pytest.mark.parametrize(
    ("base_url", "host", "target"),
    [
        ("http://10.0.0.1:8000/v1", "10.0.0.1:8000", "/v1/chat/completions"),
        ("http://[fd00::1]:8000", "[fd00::1]:8000", "/chat/completions"),
        ("https://api.example.com:443/v1/", "api.example.com", "/v1/chat/completions"),
        ("https://bücher.example/a%20b/ü", "xn--bcher-kva.example", "/a%20b/%C3%BC/chat/completions"),
    ],
)
def test_the_base_url_gives_host_and_target(base_url: str, host: str, target: str) -> None:
    assert head(base_url=base_url)[:2] == [f"POST {target} HTTP/1.1", f"Host: {host}"]


@pytest.mark.parametrize(
    ("query", "config", "target"),
    [
        ("", {}, "/v1/chat/completions"),
        ("a=%20b&c", {}, "/v1/chat/completions?a=%20b&c"),
        ("", {"api-version": "2026-01 ü"}, "/v1/chat/completions?api-version=2026-01+%C3%BC"),
        ("a=1&api-version=old", {"api-version": "new"}, "/v1/chat/completions?a=1&api-version=new"),
    ],
)
def test_the_clients_query_and_ours_are_sent(query: str, config: dict[str, str], target: str) -> None:
    heads = Heads("up", Upstream.model_validate({"base_url": URL, "query": config}))
    line = heads.start("POST", "/chat/completions", query, CIMultiDict(), raw=False).split(b"\r\n")[0]
    assert line == f"POST {target} HTTP/1.1".encode()


def test_our_key_is_sent_unless_the_client_may_bring_its_own() -> None:
    assert "Authorization: Bearer ours" in head({"X-A": "b"}, api_key="ours")
    theirs = head({"authorization": "Bearer theirs"}, api_key="ours")
    assert [line for line in theirs if "uthorization" in line] == ["authorization: Bearer theirs"]


def test_configured_headers_win() -> None:
    lines = head({"x-team": "theirs", "X-Other": "theirs"}, headers={"X-Team": "ours", "Host": "virtual.example"})
    assert "X-Team: ours" in lines
    assert "X-Other: theirs" in lines
    assert "x-team: theirs" not in lines
    assert [line for line in lines if line.startswith("Host")] == ["Host: virtual.example"]


def test_framing_headers_of_the_client_do_not_pass() -> None:
    names = ("Host", "connection", "Content-Length", "TRANSFER-ENCODING", "Expect")
    lines = head(dict.fromkeys(names, "99"))
    assert not [line for line in lines if "99" in line]


def test_only_raw_answers_may_be_compressed() -> None:
    accepts = {"Accept-Encoding": "gzip", "User-Agent": "x"}
    assert [line for line in head(accepts) if "ncoding" in line] == ["Accept-Encoding: identity"]
    assert [line for line in head(accepts, raw=True) if "ncoding" in line] == ["Accept-Encoding: gzip"]
    assert [line for line in head(raw=True) if "ncoding" in line] == []


def test_without_a_user_agent_we_name_ourselves() -> None:
    ours = f"User-Agent: llm-gateway/{__version__}"
    assert ours in head({"X-A": "b"})
    assert ours not in head({"user-agent": "x"})
    assert [line for line in head({"X-A": "b"}, headers={"User-Agent": "y"}) if "User" in line] == ["User-Agent: y"]


def test_headers_repeat_and_keep_their_bytes() -> None:
    lines = head(CIMultiDict([("X-A", "1"), ("x-a", "é\udcff")]))
    assert [line for line in lines if line.lower().startswith("x-a")] == ["X-A: 1", "x-a: é\udcff"]


def test_a_forwarding_proxy_is_told_the_whole_url_and_its_own_credentials() -> None:
    heads = Heads("up", Upstream(base_url="http://up:1/v1"), is_forwarded=True, proxy_authorization="Basic abc")
    lines = heads.start("GET", "/models", "a=b", CIMultiDict(), raw=True).split(b"\r\n")
    assert lines[:3] == [b"GET http://up:1/v1/models?a=b HTTP/1.1", b"Host: up:1", b"Proxy-Authorization: Basic abc"]


@pytest.mark.parametrize(
    ("headers", "path", "query"),
    [
        ({"X-A": "b\r\nX-C: d"}, "/models", ""),
        ({"X-A": "b\nX-C: d"}, "/models", ""),
        ({"X-A": "b\rX-C: d"}, "/models", ""),
        ({"X-A": "b\0"}, "/models", ""),
        ({"X-A\r\nX-B": "b"}, "/models", ""),
        ({}, "/models HTTP/1.1\r\nX-A: b\r\n\r\n", ""),
        ({}, "/models", "a=b c"),
        ({}, "/models", "a=b\r\nX-A: b"),
    ],
)
def test_nothing_smuggles_a_line_into_the_head(headers: dict[str, str], path: str, query: str) -> None:
    with pytest.raises(BadRequest):
        head(headers, path=path, query=query)


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-C: d"}, {"X-Ä": "b"}, {"X A": "b"}, {"": "b"}])
def test_configured_headers_that_cannot_be_sent_are_an_error_without_their_value(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        head(headers=headers)
    assert caught.value.problems[0].startswith("upstreams.up.headers: ")
    assert "X-C: d" not in caught.value.problems[0]


def test_the_same_request_again_has_the_same_head() -> None:
    heads = Heads("up", Upstream(base_url=URL))
    given = [("X-A", "1"), ("X-B", "2")]
    first = heads.start("POST", "/chat/completions", "", CIMultiDict(given), raw=False)
    assert heads.start("POST", "/chat/completions", "", CIMultiDict(given), raw=False) == first
    for method, path, headers, raw in (
        ("PUT", "/chat/completions", given, False),
        ("POST", "/completions", given, False),
        ("POST", "/chat/completions", given[::-1], False),
        ("POST", "/chat/completions", [("X-A", "1"), ("X-B", "3")], False),
        ("POST", "/chat/completions", given, True),
    ):
        assert heads.start(method, path, "", CIMultiDict(headers), raw=raw) != first


def test_no_more_heads_are_remembered_than_are_worth_it() -> None:
    heads = Heads("up", Upstream(base_url=URL))
    for number in range(1000):
        start = heads.start("GET", "/models", "", CIMultiDict({"X-A": f"{number}", "User-Agent": "x"}), raw=True)
        assert start.endswith(b"X-A: %d\r\nUser-Agent: x\r\n" % number)
        heads.start("GET", "/models", "", CIMultiDict({"X-A": f"{number}" * 5000}), raw=True)
    assert len(heads.known) <= 256
